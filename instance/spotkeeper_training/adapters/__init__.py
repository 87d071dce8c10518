"""Spotkeeper in training frameworks, one module for each. Nothing is imported that is not asked for.

================  =========================================  =====================================
module            for                                        installed with
================  =========================================  =====================================
``torch``         a training loop in plain PyTorch           ``pip install 'spotkeeper[torch]'``
``dcp``           sharded state (FSDP, DTensor)              ``pip install 'spotkeeper[torch]'``
``lightning``     Lightning's ``Trainer``                    ``pip install 'spotkeeper[lightning]'``
``hugging_face``  the ``Trainer`` of transformers            ``pip install 'spotkeeper[huggingface]'``
================  =========================================  =====================================
"""
