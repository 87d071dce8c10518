"""Service accounts, and what they are granted on buckets."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp.grants import Grant
from spotkeeper.gcp.naming import account_id


def account(
    name: str, kind: str, *, owner: pulumi.Input[str], description: str, opts: pulumi.ResourceOptions
) -> gcp.serviceaccount.Account:
    """Make an account.

    Args:
        name: the component's name.
        kind: what the account is for; its id has it, and a digest of its owner's name.
        owner: id of the fleet, or the responder.
        description: for whoever looks at the project's accounts.
        opts: of the resource.
    """
    return gcp.serviceaccount.Account(
        f"{name}-{kind}",
        account_id=pulumi.Output.from_input(owner).apply(lambda known: account_id(kind, known)),
        display_name=pulumi.Output.concat("Spotkeeper ", kind, " of ", owner),
        description=description,
        opts=opts,
    )


def member(of: gcp.serviceaccount.Account) -> pulumi.Output[str]:
    """Return the account as bindings name it."""
    return pulumi.Output.concat("serviceAccount:", of.email)


def granted(
    name: str,
    names: Sequence[str],
    grants: pulumi.Output[Mapping[str, Grant]],
    *,
    to: gcp.serviceaccount.Account,
    opts: pulumi.ResourceOptions,
) -> Sequence[pulumi.Resource]:
    """Bind an account to what it is granted on buckets.

    Args:
        name: what names of resources begin with.
        names: of the grants; they are known before what the grants say is.
        grants: by name.
        to: the account.
        opts: of the resources.
    """
    return [
        gcp.storage.BucketIAMMember(
            f"{name}-{each}",
            bucket=grants.apply(lambda known, each=each: known[each].bucket),  # type: ignore[misc]
            role=grants.apply(lambda known, each=each: known[each].role),  # type: ignore[misc]
            member=member(to),
            condition=grants.apply(lambda known, each=each: _condition(each, known[each])),  # type: ignore[misc]
            opts=opts,
        )
        for each in names
    ]


def _condition(title: str, grant: Grant) -> gcp.storage.BucketIAMMemberConditionArgsDict | None:
    return {"title": title, "expression": grant.condition} if grant.condition else None
