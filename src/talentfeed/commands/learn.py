"""`talentfeed learn`: a learner beside the services."""

import asyncio
import contextlib
import signal

from talentfeed import console
from talentfeed.commands.starting import start
from talentfeed.errors import SettingsError
from talentfeed.tasks import ended


def learn() -> None:
    """Turn what was shown and what came of it into policies, until stopped. Any number may run; kill them as you like.

    Needs REDIS_HOST, and POLICY_MODE=shadow or online here and where feeds are served. With the in-process store the
    server learns by itself.

    \b
    POLICY_MODE=online REDIS_HOST=127.0.0.1 talentfeed learn
    """
    settings = start()
    if settings.redis_host is None:
        raise SettingsError(
            "REDIS_HOST: not set; with the in-process store `talentfeed serve` learns by itself: set POLICY_MODE there"
        )
    if settings.policy_mode == "static":
        raise SettingsError(
            "POLICY_MODE: static learns nothing; set it to shadow or online, here and where feeds are served"
        )
    from talentfeed import policy

    async def run() -> None:
        work = asyncio.create_task(policy.learn(settings))
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        waits = asyncio.create_task(stopped.wait())
        await asyncio.wait([work, waits], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
        with contextlib.suppress(asyncio.CancelledError):
            await ended(work)

    console.say("Learning; stop it with Ctrl-C")
    asyncio.run(run())
