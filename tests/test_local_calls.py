from spotkeeper_lab.local import CallCounter


def test_calls_are_counted_by_caller_and_operation() -> None:
    calls = CallCounter()
    for caller, operation in [("agents", "GetObject"), ("agents", "GetObject"), ("responder", "PutObject")]:
        calls.add(caller, operation)
    before = calls.snapshot()
    calls.add("agents", "GetObject")
    assert before == {"agents": {"GetObject": 2}, "responder": {"PutObject": 1}}
