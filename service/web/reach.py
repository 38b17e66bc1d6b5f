"""`min_position`: to read on one server what was written on another.

Every answer that rests on the log says how far, in `Log-Position`. Who sends that back as
`min_position` is answered by a server that has read as much, or waits until it has. Who need not
wait takes no place from those who do.
"""

from service.jobs import Jobs
from service.web.waits import Waits


async def reach(jobs: Jobs, waits: Waits, position: int) -> None:
    """Return once the read model is at this position, and at whatever was answered before.

    Raises NotReachedError when it takes too long, and ProblemError when there is no place to wait.
    """
    if position <= jobs.position:
        await jobs.reach()
        return
    async with waits.place():
        await jobs.reach(position)
