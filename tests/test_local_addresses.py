from spotkeeper_lab.local.addresses import Addresses


def test_addresses_are_not_given_out_twice() -> None:
    addresses = Addresses()
    found = [addresses.next() for _ in range(600)]
    assert (found[0], found[252], found[253]) == ("127.0.0.2", "127.0.0.254", "127.0.1.1")
    assert len(set(found)) == 600
    assert all(0 < int(address.rpartition(".")[2]) < 255 for address in found)
