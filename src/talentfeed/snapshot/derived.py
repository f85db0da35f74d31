"""Frames → item scores, vocabulary, co-occurrence, viewers, graph: what of it only Python does. See `tables`."""

import pyarrow as pa

from talentfeed.snapshot.workbench import Workbench

RESULTS = (
    "videos", "flows", "scored", "tokens", "video_tokens", "cooccurrence", "profiles", "marks", "history",
    "flow_history", "connections",
)  # fmt: skip


def derive(bench: Workbench) -> int:
    """Have all that a snapshot is packed from computed; → n_texts, which a mark of a list is above if it is a token.

    Texts are compared stripped and casefolded, which only Python does alike everywhere.
    """
    raw = bench.fetch("raw_texts")["raw"].to_pylist()
    texts = [(r, text) for r in raw if (text := r.strip().casefold())]
    codes = {text: code for code, text in enumerate(sorted({text for _, text in texts}))}
    bench.load(
        "texts",
        pa.table(
            {
                "raw": pa.array([r for r, _ in texts], pa.string()),
                "text": pa.array([text for _, text in texts], pa.string()),
                "code": pa.array([codes[text] for _, text in texts], pa.int32()),
            }
        ),
    )
    bench.load("kind_of_skills", pa.table({"kind": pa.array([0], pa.int8())}))
    bench.set("n_texts", len(codes))
    bench.step("scores")
    for name in RESULTS:
        bench.ask(name)
    return len(codes)
