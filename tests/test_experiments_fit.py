"""How `twingym fit` gets its courses."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from twingym.experiments.fit import one_ahead


def test_the_next_epoch_is_recorded_while_one_is_learned_from() -> None:
    begun, asked, hold = [], Event(), Event()

    def record(epoch):
        begun.append(epoch)
        if epoch == 4:
            asked.set()
            hold.wait()
        return f"courses of {epoch}"

    with ThreadPoolExecutor(1) as other:
        fresh = one_ahead(record, 5, other)
        assert fresh(3) == "courses of 3"  # a resumed fit begins anywhere
        assert asked.wait(10.0)  # nobody asked for them yet
        hold.set()
        assert fresh(4) == "courses of 4"
    assert begun == [3, 4]  # each once, and none beyond the last
