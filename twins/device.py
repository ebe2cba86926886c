"""Where tensors are computed: is a device that is asked for there?"""

from __future__ import annotations

import torch

from twingym.twins.errors import SpecError


def usable_device(name: str) -> torch.device:
    """Return a device by name.

    Raises:
        SpecError: If this machine has none of that name.
    """
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:  # unknown names raise the former, torch without CUDA the latter
        why = str(error).splitlines()[0]
        raise SpecError(
            f"device {name!r} is not there ({why}); allowed: 'cpu', or 'cuda' where torch was built for it and finds a "
            "GPU."
        ) from error
