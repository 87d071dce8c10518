import pytest

from spotkeeper_ledger import keys


def test_every_key_of_a_fleet_lies_in_its_own_folder() -> None:
    made = [keys.spec("a-b"), keys.ledger("a-b"), keys.signals("a-b"), keys.generation("a-b"), keys.progress("a-b")]
    made += [keys.notice("a-b", "AROA:i-1"), keys.report("a-b", "AROA:i-1")]
    assert all(key.startswith("fleets/a-b/") for key in made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("fleet", ["", "a/b", "../x", "A", "-a", "a" * 129, "a\n"])
def test_a_name_that_could_reach_elsewhere_is_refused(fleet: str) -> None:
    with pytest.raises(ValueError, match="fleet: was"):
        keys.spec(fleet)
