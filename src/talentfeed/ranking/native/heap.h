/* The best of many, in the order of a shortlist: tier, score, row. */
#ifndef TALENTFEED_HEAP_H
#define TALENTFEED_HEAP_H

#include "kernel.h"

INLINE int worse(Scored a, Scored b) { /* the order of a shortlist: tier, score, row */
    if (a.tier != b.tier) return a.tier > b.tier;
    return a.score < b.score || (a.score == b.score && a.row > b.row);
}

INLINE void sink(Scored *heap, int64_t n, int64_t at, Scored one) { /* the worst on top */
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && worse(heap[child + 1], heap[child])) child++;
        if (!worse(heap[child], one)) break;
        heap[at] = heap[child];
    }
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

INLINE void best_first(Scored *heap, int64_t n) {
    while (n > 1) {
        Scored worst = heap[0], last = heap[--n];
        sink(heap, n, 0, last);
        heap[n] = worst;
    }
}

#endif
