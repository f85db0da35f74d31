/* The best of many, in the order of a shortlist: tier, score, row. */
#ifndef TALENTFEED_HEAP_H
#define TALENTFEED_HEAP_H

#include "kernel.h"

INLINE int worse(Scored a, Scored b) { /* the order of a shortlist: tier, score, row; without a branch to guess */
    int tier = a.tier > b.tier, same = a.tier == b.tier, score = a.score < b.score, equal = a.score == b.score;
    return tier | (same & (score | (equal & (a.row > b.row))));
}

/* The worst on top. Down to the end first, then up to where `one` belongs: it came from the end, so seldom far. */
INLINE void sink(Scored *heap, int64_t n, int64_t at, Scored one) {
    int64_t top = at, child, up;
    while ((child = 2 * at + 2) < n) {
        child -= worse(heap[child - 1], heap[child]);
        heap[at] = heap[child], at = child;
    }
    if (child == n) heap[at] = heap[child - 1], at = child - 1;
    for (; at > top && worse(one, heap[up = (at - 1) / 2]); at = up) heap[at] = heap[up];
    heap[at] = one;
}

INLINE void offer(Scored *heap, int64_t *n, int64_t size, Scored one) {
    if (*n < size) {
        int64_t at = (*n)++;
        for (int64_t up; at > 0 && worse(one, heap[up = (at - 1) / 2]); at = up) heap[at] = heap[up];
        heap[at] = one;
    } else if (size > 0 && worse(heap[0], one)) {
        sink(heap, size, 0, one);
    }
}

/* Merged from ever longer runs. Wants room for as many behind them, as the next. */
static void merge(Scored *list, int64_t n) {
    Scored *from = list, *to = list + n;
    for (int64_t run = 1; run < n; run *= 2) {
        Scored *out = to;
        for (int64_t begin = 0; begin < n; begin += 2 * run) {
            int64_t a = begin, a_end = begin + run < n ? begin + run : n, b = a_end, end = b + run < n ? b + run : n;
            while (a < a_end && b < end) *out++ = worse(from[a], from[b]) ? from[b++] : from[a++];
            while (a < a_end) *out++ = from[a++];
            while (b < end) *out++ = from[b++];
        }
        Scored *done = to;
        to = from, from = done;
    }
    if (from != list) memcpy(list, from, (size_t)n * sizeof *list);
}

/* First by where a score lies between the worst and the best, which leaves few out of order: a heap taken apart, or
 * merging, has a branch to guess at every step. By merging where many lie close together, or in tiers. */
INLINE int bucket_of(double score, double high, double scale, int last) {
    double at = (high - score) * scale;
    return at < last ? (int)at : last; /* the last, too, if it is no number */
}

INLINE void best_first(Scored *list, int64_t n) {
    enum { BUCKETS = 512, MOVES = 8 };
    if (n < 2) return;
    double low = list[0].score, high = low;
    for (int64_t i = 1; i < n; i++) {
        low = list[i].score < low ? list[i].score : low;
        high = list[i].score > high ? list[i].score : high;
    }
    double scale = (BUCKETS - 1) / (high - low);
    if (!(scale > 0.0 && scale < 1e300)) {
        merge(list, n);
        return;
    }
    int32_t starts[BUCKETS + 1] = {0};
    Scored *out = list + n;
    for (int64_t i = 0; i < n; i++) starts[1 + bucket_of(list[i].score, high, scale, BUCKETS - 1)]++;
    for (int i = 1; i < BUCKETS; i++) starts[i] += starts[i - 1];
    for (int64_t i = 0; i < n; i++) out[starts[bucket_of(list[i].score, high, scale, BUCKETS - 1)]++] = list[i];
    int64_t moves = MOVES * n;
    list[0] = out[0];
    for (int64_t i = 1; i < n; i++) {
        Scored one = out[i];
        int64_t at = i;
        for (; at > 0 && worse(list[at - 1], one); at--) list[at] = list[at - 1];
        list[at] = one;
        if ((moves -= i - at) < 0) {
            memcpy(list + i + 1, out + i + 1, (size_t)(n - i - 1) * sizeof *list);
            merge(list, n);
            return;
        }
    }
}

#endif
