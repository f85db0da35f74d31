/* Stage 1, its counting: what a viewer likes and has seen, from a history. SPEC 5. */
#include "kernel.h"

/* Lists are distinct; those of codes are ascending. */
typedef struct {
    const int32_t *watched; /* rows of videos, newest interaction first */
    const uint8_t *liked;   /* beside them */
    const int32_t *profile; /* token ids; -1: a skill that no video has */
    const int32_t *connections;
    const int32_t *video_tokens, *video_city;  /* of all videos */
    const int32_t *user_city, *user_creator;   /* of all users */
    int64_t n_watched, history, n_profile, n_connections, own_city, n_skills;
    int64_t token_words, city_words, places; /* room; places: a power of two above 2 n_watched */
    int32_t *counts;                          /* (64 token_words) zero */
    uint64_t *tokens, *cities;                /* (token_words), (city_words) zero */
    int32_t *hashed;                          /* (places) zero */
    int32_t *seen, *skills, *known, *lived, *creators; /* out */
    double *weights;                                   /* out, beside skills */
    int64_t n_seen, n_likes, n_skills_found, n_known, n_lived, n_creators, mentions;
} Reading;

/* Whether a row comes for the first time; remembers it. */
static int first_time(Reading *r, int32_t row) {
    uint64_t at = mixed((uint64_t)row + 1) & (uint64_t)(r->places - 1);
    for (; r->hashed[at]; at = (at + 1) & (uint64_t)(r->places - 1))
        if (r->hashed[at] == row + 1) return 0;
    r->hashed[at] = row + 1;
    return 1;
}

static int64_t list(const uint64_t *mask, int64_t words, int32_t *out) {
    int64_t n = 0;
    for (int64_t w = 0; w < words; w++)
        for (uint64_t left = mask[w]; left; left &= left - 1) out[n++] = (int32_t)(w * 64 + __builtin_ctzll(left));
    return n;
}

EXPORT void talentfeed_read(Reading *r) {
    int64_t newest = r->n_watched < r->history ? r->n_watched : r->history;
    for (int64_t i = 0; i < newest; i++) {
        int32_t row = r->watched[i];
        if (!r->liked[i] || !first_time(r, row)) continue;
        const int32_t *tokens = r->video_tokens + (int64_t)row * N_TOKENS;
        for (int t = 0; t < N_TOKENS; t++)
            if (tokens[t]) put(r->tokens, tokens[t]);
        for (int t = 0; t < N_SKILLS; t++)
            if (tokens[t]) r->counts[tokens[t]]++, r->mentions++;
        put(r->cities, r->video_city[row]);
        r->n_likes++;
    }
    memset(r->hashed, 0, (size_t)r->places * sizeof *r->hashed);
    for (int64_t i = 0; i < r->n_watched; i++)
        if (first_time(r, r->watched[i])) r->seen[r->n_seen++] = r->watched[i];
    if (!r->n_likes) {
        for (int64_t i = 0; i < r->n_profile; i++) {
            int32_t token = r->profile[i];
            if (token > 0) put(r->tokens, token);
            if (token > r->n_skills) continue;
            r->mentions++;
            if (token > 0) r->counts[token]++;
        }
        if (r->own_city > 0) put(r->cities, r->own_city);
    }
    for (int64_t i = 0; i < r->n_connections; i++) {
        int32_t creator = r->user_creator[r->connections[i]];
        put(r->cities, r->user_city[r->connections[i]]);
        if (creator >= 0) r->creators[r->n_creators++] = creator;
    }
    drop(r->cities, 0); /* unknown */
    r->n_known = list(r->tokens, r->token_words, r->known);
    r->n_lived = list(r->cities, r->city_words, r->lived);
    for (int64_t i = 0; i < r->n_known && r->known[i] <= r->n_skills; i++) {
        if (!r->counts[r->known[i]]) continue;
        r->skills[r->n_skills_found] = r->known[i];
        r->weights[r->n_skills_found++] = (double)r->counts[r->known[i]] / (double)r->mentions;
    }
}

EXPORT int64_t talentfeed_reading_size(void) { return sizeof(Reading); }
