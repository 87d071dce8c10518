from __future__ import annotations

import gc

import pytest

from spotkeeper_lab import collection


def test_it_is_off_inside_and_as_before_outside():
    assert gc.isenabled()
    with collection.paused():
        assert not gc.isenabled()
        with collection.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_on_again_after_an_error():
    with pytest.raises(KeyError), collection.paused():
        raise KeyError
    assert gc.isenabled()
