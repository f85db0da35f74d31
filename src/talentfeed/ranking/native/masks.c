/* Sets of videos as bits: what a rule or a viewer says of a whole catalogue is one pass over its words. */
#include "kernel.h"

QUICK void add_token(const Catalogue *c, int32_t token, uint64_t *const digits[3]) {
    uint64_t *restrict ones = digits[0], *restrict twos = digits[1], *restrict fours = digits[2];
    if (c->dense_of[token] >= 0) {
        const uint64_t *restrict having = c->dense + c->dense_of[token] * c->words;
        for (int64_t w = 0; w < c->words; w++) {
            uint64_t first = ones[w] & having[w], second = twos[w] & first, full = fours[w] & second;
            ones[w] = (ones[w] ^ having[w]) | full;
            twos[w] = (twos[w] ^ first) | full;
            fours[w] = (fours[w] ^ second) | full;
        }
        return;
    }
    for (int64_t i = c->by_token.start[token]; i < c->by_token.start[token + 1]; i++) {
        int64_t w = c->by_token.entries[i] >> 6;
        uint64_t having = (uint64_t)1 << (c->by_token.entries[i] & 63);
        uint64_t first = ones[w] & having, second = twos[w] & first, full = fours[w] & second;
        ones[w] = (ones[w] ^ having) | full;
        twos[w] = (twos[w] ^ first) | full;
        fours[w] = (fours[w] ^ second) | full;
    }
}

QUICK int64_t count_bits(const uint64_t *mask, int64_t words) {
    int64_t count = 0;
    for (int64_t w = 0; w < words; w++) count += __builtin_popcountll(mask[w]);
    return count;
}
