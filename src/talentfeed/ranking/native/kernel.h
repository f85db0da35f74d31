/* What the parts of the compiled kernel share. Every structure has its twin in ../native.py; `talentfeed_sizes` lets
 * that side see that the two agree.
 *
 * Rules of this folder: no allocation, no input or output, no library but sqrt. Sums are written in one order and the
 * compiler may not change it (-ffp-contract=off, no -ffast-math), so the same input gives the same bits on any machine.
 */
#ifndef TALENTFEED_KERNEL_H
#define TALENTFEED_KERNEL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

enum { N_SKILLS = 5, N_TOKENS = 14, N_MOVING = 7, LANES = 8, N_SHARES = 8 };
enum { N_SCALED = 20, LIKELY = 18, MOST_FACTORS = 128 }; /* of the preset `learned`: features, the blend among them */
enum { RECENCY, SIMILARITY, MATCH, CITY, CONNECTION, INFLUENCE, NOISE };       /* the moving columns */
enum { POPULAR, AFFINITY, FRESH, FLOW, EXPLORE, N_LEARNING = FLOW, N_LISTS = EXPLORE };/* the pools */
enum { VIDEO, FLOWS, N_KINDS };                                                /* the kinds of items */
enum { STREAM_FEATURE = 1, STREAM_FRESH, STREAM_FLOW, STREAM_EXPLORE, STREAM_DRAW };
enum { NEW_CONTENT = 1, SKILL_DIVERSITY = 2, ALREADY_SEEN = 4, CREATOR_WINDOW = 8 }; /* rules that may give way */
enum { WINDOW = 12, PLACES = WINDOW - 1, SPARE = 2, MOST_LISTED = 1024 /* on a shortlist that is drawn from */ };

#define SECONDS_PER_DAY 86400.0
#define NEW_SECONDS (45.0 * SECONDS_PER_DAY)
#define BOOST_SECONDS (30.0 * SECONDS_PER_DAY)

/* Operated on lane by lane; a processor without such registers gives the same bits. */
typedef double Pair __attribute__((vector_size(16), aligned(16)));
typedef double Four __attribute__((vector_size(32), aligned(8), may_alias));

/* A video, for the columns that move. */
typedef struct {
    int32_t tokens[N_TOKENS]; /* skills first; 0: padding */
    int32_t city, creator;
    double inverse_norm; /* 1 / length of the sum of its skills' embeddings; 0 without skills */
    double dated;        /* created_at; minus infinity without a date */
    double decayed;      /* exp((dated - epoch) / 28 days) */
    uint64_t counter;    /* of its noise */
} Video;

typedef struct {
    int32_t creator, unused;
    double decayed;
    uint64_t counter;
} Flow;

/* What the fixed columns of a video give to one pool's score; in the order of the bound. */
typedef struct {
    double base;         /* theta^T s + the pool's fixed bonus */
    double width;        /* s^T M s */
    double cross[LANES]; /* 2 M s; the last lane is 0 */
} Fixed;

/* What tells of a video, without a look at it, that it cannot enter; in the same order. Rounded up. */
typedef struct {
    float bound;   /* what its score cannot pass, but for the viewer's columns in theta^T x; descending */
    float rest;    /* the same without recency, what is new, and the pool's noise */
    float decayed; /* as the video's */
    int32_t row;
    uint64_t counter;
} Glance;

/* One pool's videos, its candidates first, best bound first. */
typedef struct {
    const Fixed *fixed;
    const Glance *glances;
    const int32_t *places; /* by row: its place in the two */
    const float *bounds;   /* by row */
    int64_t members;     /* candidates while `since` holds: they stand first */
    int64_t n;           /* all that may ever be candidates, then too */
    int64_t size;    /* places on the shortlist */
    int64_t among;   /* of the best that may stand, a draw is among so many */
    int64_t only_new;
    double linear[LANES]; /* theta, and what the pool adds to similarity and match */
    double matrix[LANES][LANES];
    double alpha, beta_variance, recency, fresh, noise;
} Board;

/* What the preset `learned` ranks by. n = videos. */
typedef struct {
    int64_t on, n_factors, n_near;
    const float *factors;             /* (n, n_factors) of ALS */
    const double *gram;               /* (n_factors, n_factors) */
    const double *warm, *cold;        /* (n) the blend's part of the item, for viewers with events and without */
    const double *apart;              /* (n) closeness to those that do not have it among their neighbours */
    const int32_t *near;              /* (n, n_near) neighbours */
    const float *closeness;           /* theirs */
    const double *fixed;              /* (n, N_SCALED) scaled features; those of viewer and moment 0 */
    double confidence, als, co_view;  /* of a pair that was seen; the blend's weights */
    double profile[2];                /* the same of skill similarity and extended match, for viewers without events */
    double taste[2];                  /* ... and with events: of those that are scored alone */
    double scale[N_MOVING];
    double theta[N_SCALED];
    double root[N_SCALED][N_SCALED];  /* by column: x^T A^-1 x is the square of (root x), a lower triangle */
    double alpha, beta_variance;
    int64_t most[N_LEARNING];         /* that are scored */
} Learned;

/* Inverted lists: the entries of a code, ascending. */
typedef struct {
    const int64_t *start;
    const int32_t *entries;
} Postings;

typedef struct {
    int64_t n_videos, n_flows, n_creators, n_skills, n_tokens, n_cities;
    const Video *videos;
    const Flow *flows;
    const int64_t *video_ids, *flow_ids; /* ascending */
    const double *skills;                /* (n_skills, n_skills) dot products of the embeddings */
    const uint8_t *points;               /* by token */
    Postings by_creator, by_token;       /* videos */
    const int32_t *by_date;              /* videos, oldest first */
    const double *dates;                 /* theirs, ascending */
    int64_t words;                       /* of a mask of the videos */
    const uint64_t *of_size;             /* (N_SKILLS + 1, words) videos by number of skills */
    const uint64_t *dense;               /* (kept, words) the videos of tokens that many have */
    const int32_t *dense_of;             /* by token: its place in `dense`, or -1 */
    double epoch;                        /* the newest date */
    double since, most_influence;        /* bounds hold from then on, for viewers of no more */
    double feature_noise, flow_noise, flow_recency, epsilon;
    int64_t flow_size;
    int64_t first; /* videos of the best bounds that are looked at before anything else is thought of */
    Board boards[N_LEARNING]; /* under `learned` `size` and `among` alone */
    Learned learned;
} Catalogue;

/* Who asks, and what. */
typedef struct {
    const int32_t *skills, *tokens, *cities, *connections, *seen[N_KINDS], *shown_flows, *evidence;
    const double *skill_weights;
    const int64_t *excluded;
    const int32_t *recent;       /* creators at the last places, oldest first, two a place, -1 for none */
    const uint8_t *pattern;      /* pool of each slot */
    int64_t n_skills, n_tokens, n_cities, n_connections, n_seen[N_KINDS], n_shown, n_evidence, n_excluded, n_recent, n_slots;
    int64_t has_skills, wants[N_KINDS], only_flows, prune;
    uint64_t seed[2], draw_seed[2]; /* low, high */
    double influence, now, decay; /* decay: exp((epoch - now) / 28 days) */
} Request;

typedef struct {
    int32_t kind, row, pool, explored, gave_way, unused;
    double probability;
} Slot;

typedef struct {
    double score;
    int32_t row, tier;
} Scored;

/* Room to work in, one a feed at a time; all zero between feeds but for what is said. */
typedef struct {
    Pair *toward;           /* (n_skills + 1) by token: 0.6 x dot product with the viewer's unit vector, and 0.4 x the
                               viewer's weight; any content */
    uint8_t *points;        /* (n_tokens) of the viewer's tokens */
    uint8_t *cities;        /* (n_cities) */
    uint8_t *connections;   /* (n_creators) */
    uint8_t *times;         /* (n_creators) places of the window that a creator stands at */
    int32_t *makers;        /* (n_creators) new videos left, of those who made any; while watched */
    int32_t *maker_list;    /* (n_creators) any content */
    uint64_t *unseen[2];    /* (words) neither excluded, nor seen, nor served; any content */
    uint64_t *seen[2];      /* (words) seen, neither excluded nor served; any content */
    uint64_t *free;         /* (words) unseen videos by nobody in the window; any content */
    uint64_t *digits[3];    /* (words) used skills of each video, as binary digits; any content */
    uint64_t *shares[3];    /* (words) tokens that each video shares with the viewer, likewise, 7 and more as 7 */
    uint64_t *failing;      /* (words) any content */
    uint64_t *fresh;        /* (words) kept: the videos of by_date[fresh_from:] */
    uint64_t *shown;        /* flows shown in earlier sessions */
    uint8_t *used;          /* (n_skills + 1) skills of the videos served */
    Pair *near;             /* (n_videos) of the events' neighbours: their share, and closeness; any content, as the next */
    double *likely;         /* (n_videos) log-odds by the blend */
    Scored *retrieved[N_LEARNING];
    int64_t n_retrieved[N_LEARNING];
    int64_t fresh_from;
    Scored *listed[N_LISTS]; /* shortlists, best first; any content */
    int64_t n_listed[N_LISTS];
    int64_t removed[2];     /* out: excluded, already seen */
    int64_t n_free[2];      /* old and new videos in `free` */
    int64_t looked;         /* out: rows scored */
} Room;

/* Compiled twice, for processors that have more: the same operations in the same order, so the same bits. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define QUICK __attribute__((target_clones("avx2", "default")))
#else
#define QUICK
#endif

INLINE uint64_t mixed(uint64_t z) { /* SplitMix64's finaliser: Steele, Lea, Flood 2014 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

INLINE uint64_t key_of(const uint64_t seed[2], uint64_t stream) {
    const uint64_t gamma = 0x9E3779B97F4A7C15u;
    uint64_t folded = mixed(seed[1] + gamma) ^ seed[0];
    return mixed(mixed(folded) + stream * gamma);
}

INLINE double uniform(uint64_t key, uint64_t counter) { return (double)(mixed(counter + key) >> 11) * 0x1p-53; }

INLINE int has(const uint64_t *mask, int64_t row) { return (int)(mask[row >> 6] >> (row & 63) & 1); }
INLINE void put(uint64_t *mask, int64_t row) { mask[row >> 6] |= (uint64_t)1 << (row & 63); }
INLINE void drop(uint64_t *mask, int64_t row) { mask[row >> 6] &= ~((uint64_t)1 << (row & 63)); }

/* Adds one to the binary digits of the videos that have a token; those that stand at 7 stay there. */
void add_token(const Catalogue *c, int32_t token, uint64_t *const digits[3]);

int64_t count_bits(const uint64_t *mask, int64_t words);

/* The stages of a feed, in this order; see where they are. */
void talentfeed_candidates(const Catalogue *c, const Request *q, Room *room);
void talentfeed_shortlists(const Catalogue *c, const Request *q, Room *room);
void talentfeed_learned_shortlists(const Catalogue *c, const Request *q, Room *room);
void flow_shortlist(const Catalogue *c, const Request *q, Room *room);
int64_t place_slots(const Catalogue *c, const Request *q, Room *room, Slot *slots, int64_t *within);

INLINE int is_new(const Catalogue *c, int64_t row, double now) { return now - c->videos[row].dated < NEW_SECONDS; }

#endif
