"""The Open Bandit Dataset as a log: what the Bernoulli Thompson sampling policy would have earned, from the random one.

Saito et al., Open Bandit Dataset and Pipeline, NeurIPS 2021 datasets track. A row is one place of three on a page; the
policy judged draws an item's worth from its prior and shows the three best, so its probabilities by item and place are
counted over simulations.
"""

import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talentfeed.contracts import Floats, Ints
from talentfeed.errors import LogError
from talentfeed.learning.off_policy import Choices

PLACES = 3
SIMULATIONS = 100_000
MODEL_WEIGHT = 50.0  # pseudo-impressions of the mean in DR's reward model
_AT_ONCE = 10_000
_COLUMNS = ("item_id", "position", "click", "propensity_score")
_LINE = re.compile(r"(?P<campaign>\S+):|  (?P<parameter>alpha|beta):|    - (?P<value>\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One log. n = rows."""

    name: str
    item: Ints  # (n,) from 0
    place: Ints  # (n,) 0-2
    click: Floats  # (n,) 0 or 1
    logged: Floats  # (n,) the logging policy's probability


def campaigns(folder: Path) -> list[str]:
    """Those with a log of the random policy, by name. Raises LogError where there is none."""
    found = sorted(
        path.parent.name for path in folder.glob("random/*/*.csv.gz") if path.name == f"{path.parent.name}.csv.gz"
    )
    if not found:
        raise LogError(f"{folder}: no random/<campaign>/<campaign>.csv.gz in it; accepted: an Open Bandit folder")
    return found


def read(folder: Path, campaign: str, *, policy: str = "random") -> Campaign:
    """A campaign's log of one policy. Raises LogError, which names the file, the line and what is wrong."""
    path = folder / policy / campaign / f"{campaign}.csv.gz"
    rows: list[tuple[int, int, float, float]] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise LogError(f"{path}: no column {', '.join(missing)}; accepted: {', '.join(_COLUMNS)} and others")
            for row in reader:
                item, position, click, propensity = (row[name] for name in _COLUMNS)
                try:
                    rows.append((int(item), int(position) - 1, float(click), float(propensity)))
                except (TypeError, ValueError) as error:
                    raise LogError(f"{path}: line {reader.line_num}: {error}; accepted: numbers") from None
                if rows[-1][0] < 0 or not 0 <= rows[-1][1] < PLACES:
                    raise LogError(
                        f"{path}: line {reader.line_num}: item {item} at position {position}; "
                        f"accepted: an item from 0, a position from 1 to {PLACES}"
                    )
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise LogError(f"{path}: {error}; accepted: the log as gzipped CSV") from error
    if not rows:
        raise LogError(f"{path}: no rows; nothing can be judged")
    items, places, clicks, logged = zip(*rows, strict=True)
    return Campaign(
        name=campaign,
        item=np.array(items, np.int64),
        place=np.array(places, np.int64),
        click=np.array(clicks, np.float64),
        logged=np.array(logged, np.float64),
    )


def read_prior(path: Path, campaign: str) -> tuple[Floats, Floats]:
    """The beta priors (alpha, beta), (items,) each, of `prior_bts.yaml`: lists of numbers under two levels of names.

    Raises LogError where the file or the campaign is absent, or is not of that form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"{path}: {error}; accepted: the prior of the policy that is judged") from error
    values: dict[tuple[str, str], list[float]] = {}
    key = ("", "")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.rstrip())
        try:
            if found is None:
                raise ValueError(line)
            if found["campaign"]:
                key = (found["campaign"], "")
            elif found["parameter"]:
                key = (key[0], found["parameter"])
            else:
                values.setdefault(key, []).append(float(found["value"]))
        except ValueError:
            accepted = "`campaign:`, `  alpha:`, `  beta:` and `    - number`"
            raise LogError(f"{path}: line {number}: {line!r}; accepted: {accepted}") from None
    alpha, beta = (np.array(values.get((campaign, name), ()), np.float64) for name in ("alpha", "beta"))
    if not len(alpha) or len(alpha) != len(beta) or not ((alpha > 0) & (beta > 0)).all():
        raise LogError(
            f"{path}: {len(alpha)} alpha and {len(beta)} beta for {campaign}; accepted: both > 0 for each item"
        )
    return alpha, beta


def shares(alpha: Floats, beta: Floats, *, seed: int = 0, simulations: int = SIMULATIONS) -> Floats:
    """How often Thompson sampling shows each item at each place, (items, PLACES): each column sums to 1."""
    if len(alpha) < PLACES:
        raise LogError(f"a prior over {len(alpha)} items; accepted: at least {PLACES}, one for each place")
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(alpha), PLACES))
    for first in range(0, simulations, _AT_ONCE):
        worth = rng.beta(alpha, beta, (min(_AT_ONCE, simulations - first), len(alpha)))
        best = np.argsort(-worth, axis=1)[:, :PLACES]
        for place in range(PLACES):
            counts[:, place] += np.bincount(best[:, place], minlength=len(alpha))
    return counts / simulations


def choices(log: Campaign, target: Floats) -> Choices:
    """The log beside a policy without context: `target` (items, PLACES). Raises LogError where it lacks an item.

    DR's model is the clicks of an item at a place, drawn toward the mean: (clicks + 50 mean) / (n + 50).
    """
    if log.item.max() >= len(target):
        raise LogError(f"{log.name}: item {log.item.max()} is in the log, but the policy knows {len(target)} items")
    shown, clicked = np.zeros_like(target), np.zeros_like(target)
    np.add.at(shown, (log.item, log.place), 1.0)
    np.add.at(clicked, (log.item, log.place), log.click)
    model = (clicked + MODEL_WEIGHT * log.click.mean()) / (shown + MODEL_WEIGHT)
    return Choices(
        reward=log.click,
        logged=log.logged,
        target=target[log.item, log.place],
        predicted=model[log.item, log.place],
        expected=(target * model).sum(axis=0)[log.place],
    )
