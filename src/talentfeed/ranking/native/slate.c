/* Stages 2 and 6: who may enter, and the slots with their five rules. SPEC 7.
 *
 * A slot's choice is a draw over the admissible: unseen, by nobody in the window, neither against rule 4 nor rule 5. How
 * many these are enters its probability, so they are counted, each slot, over the whole catalogue: by what changed
 * since the slot before, and over masks while rule 4 can pass anybody over. Where nothing is admissible rules give way,
 * from the fifth to the third, and the whole catalogue is looked at again.
 */
#include "kernel.h"

/* ---------------------------------------------------------------- who may enter */

static int64_t row_of(const int64_t *ids, int64_t n, int64_t id) {
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (ids[middle] < id) low = middle + 1;
        else high = middle;
    }
    return low < n && ids[low] == id ? low : -1;
}

static void fill_mask(uint64_t *mask, int64_t n) {
    int64_t words = (n + 63) / 64;
    memset(mask, 0xFF, (size_t)words * sizeof *mask);
    if (n & 63) mask[words - 1] >>= 64 - (n & 63);
}

/* Takes out the excluded, then the already seen; counts both. */
EXPORT void talentfeed_candidates(const Catalogue *c, const Request *q, Room *room) {
    const int64_t *ids[N_KINDS] = {c->video_ids, c->flow_ids}, count[N_KINDS] = {c->n_videos, c->n_flows};
    room->removed[0] = room->removed[1] = 0;
    for (int kind = VIDEO; kind < N_KINDS; kind++) {
        if (!q->wants[kind]) continue;
        uint64_t *unseen = room->unseen[kind], *seen = room->seen[kind];
        fill_mask(unseen, count[kind]);
        memset(seen, 0, (size_t)((count[kind] + 63) / 64) * sizeof *seen);
        for (int64_t i = 0; i < q->n_excluded; i++) {
            int64_t row = row_of(ids[kind], count[kind], q->excluded[i]);
            if (row >= 0 && has(unseen, row)) drop(unseen, row), room->removed[0]++;
        }
        for (int64_t i = 0; i < q->n_seen[kind]; i++) {
            int32_t row = q->seen[kind][i];
            if (has(unseen, row)) drop(unseen, row), put(seen, row), room->removed[1]++;
        }
    }
}

/* ---------------------------------------------------------------- a feed half filled */

typedef struct {
    const Catalogue *c;
    const Request *q;
    Room *room;
    int32_t places[PLACES][2]; /* creators in the window, a ring */
    int64_t n_places, oldest;
    int64_t unseen_left[N_KINDS], seen_left[N_KINDS];
    int64_t new_left, new_served, served; /* videos */
    int64_t slack;                        /* 5 x distinct skills - 3 x mentions */
    int32_t waiting[128];                 /* used skills that `digits` do not count yet */
    int64_t n_waiting;
    int counting;                         /* whether `digits` hold anything */
    int64_t n_makers;                     /* creators of new videos that are watched; -1: plenty */
    int64_t needed;                       /* new videos that the rest of the feed must bring */
    int only, kept_for_fresh;             /* what a video here must be: 1 new, 0 old, -1 either */
} Feed;

typedef struct {
    int kind, pool, explored;
    int32_t row;
    double probability;
} Choice;

INLINE int is_video(int kind) { return kind == VIDEO; }

INLINE int32_t creator_of(const Feed *f, int kind, int64_t row) {
    return is_video(kind) ? f->c->videos[row].creator : f->c->flows[row].creator;
}

/* ---------------------------------------------------------------- rule 3: the window */

/* The videos of a creator who comes into the window, or leaves it. */
static void stand(Feed *f, int32_t creator, int in) {
    const Catalogue *c = f->c;
    Room *room = f->room;
    if (!f->q->wants[VIDEO]) return;
    for (int64_t i = c->by_creator.start[creator]; i < c->by_creator.start[creator + 1]; i++) {
        int32_t row = c->by_creator.entries[i];
        if (has(room->free, row) == !in || !has(room->unseen[VIDEO], row)) continue;
        in ? drop(room->free, row) : put(room->free, row);
        room->n_free[is_new(c, row, f->q->now)] += in ? -1 : 1;
    }
}

static void push(Feed *f, int32_t first, int32_t second) {
    uint8_t *times = f->room->times;
    int32_t *place = f->places[(f->oldest + f->n_places) % PLACES];
    if (f->n_places == PLACES) {
        for (int i = 0; i < 2; i++)
            if (place[i] >= 0 && !--times[place[i]]) stand(f, place[i], 0);
        f->oldest = (f->oldest + 1) % PLACES;
    } else {
        f->n_places++;
    }
    place[0] = first, place[1] = second;
    for (int i = 0; i < 2; i++)
        if (place[i] >= 0 && !times[place[i]]++) stand(f, place[i], 1);
}

/* 1: the last item is by the same creator; WINDOW: nobody in the window is. */
static int places_since(const Feed *f, int32_t creator) {
    if (!f->room->times[creator]) return WINDOW;
    for (int64_t back = 1; back <= f->n_places; back++) {
        const int32_t *place = f->places[(f->oldest + f->n_places - back) % PLACES];
        if (place[0] == creator || place[1] == creator) return (int)back;
    }
    return WINDOW;
}

/* ---------------------------------------------------------------- rule 4: diversity */

/* With D distinct skills in M mentions a video of m skills, u of them used, passes if 5 (D + m - u) >= 3 (M + m): with
 * slack = 5 D - 3 M, if 5 u <= slack + 2 m. */
INLINE int fails(const Feed *f, int64_t row) {
    const int32_t *skills = f->c->videos[row].tokens;
    int size = 0, used = 0;
    for (; size < N_SKILLS && skills[size]; size++) used += f->room->used[skills[size]];
    return size && 5 * used > f->slack + 2 * size;
}

/* From this slack on no video can fail. */
INLINE int all_pass(const Feed *f) { return f->slack >= 3 * N_SKILLS || !f->served; }

static void count_used(Feed *f) {
    uint64_t **digits = f->room->digits;
    if (!f->counting)
        for (int i = 0; i < 3; i++) memset(digits[i], 0, (size_t)f->c->words * sizeof **digits);
    f->counting = 1;
    for (int64_t i = 0; i < f->n_waiting; i++) add_token(f->c, f->waiting[i], digits);
    f->n_waiting = 0;
}

/* Adds to a mask the videos of one size with at least so many used skills. */
QUICK static void add_failing(uint64_t *restrict found, const uint64_t *restrict of_size, uint64_t *const *digits,
                              int least, int64_t words) {
    const uint64_t *restrict ones = digits[0], *restrict twos = digits[1], *restrict fours = digits[2];
    switch (least) {
    case 0: for (int64_t w = 0; w < words; w++) found[w] |= of_size[w]; break;
    case 1: for (int64_t w = 0; w < words; w++) found[w] |= of_size[w] & (ones[w] | twos[w] | fours[w]); break;
    case 2: for (int64_t w = 0; w < words; w++) found[w] |= of_size[w] & (twos[w] | fours[w]); break;
    case 3: for (int64_t w = 0; w < words; w++) found[w] |= of_size[w] & ((ones[w] & twos[w]) | fours[w]); break;
    case 4: for (int64_t w = 0; w < words; w++) found[w] |= of_size[w] & fours[w]; break;
    default: for (int64_t w = 0; w < words; w++) found[w] |= of_size[w] & fours[w] & ones[w];
    }
}

/* The videos that rule 4 passes over here. */
static const uint64_t *failing(Feed *f) {
    const Catalogue *c = f->c;
    count_used(f);
    memset(f->room->failing, 0, (size_t)c->words * sizeof *f->room->failing);
    for (int m = 1; m <= N_SKILLS; m++) {
        int64_t over = f->slack + 2 * m, least = over < 0 ? 0 : over / 5 + 1; /* so many used skills are too many */
        if (least <= m) add_failing(f->room->failing, c->of_size + m * c->words, f->room->digits, (int)least, c->words);
    }
    return f->room->failing;
}

/* ---------------------------------------------------------------- rule 5: new videos */

static int64_t first_new(const Catalogue *c, double now) {
    int64_t low = 0, high = c->n_videos;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (now - c->dates[middle] < NEW_SECONDS) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* Moves the mask of new videos that is kept to this feed's time. */
static void follow(const Catalogue *c, Room *room, double now) {
    int64_t to = first_new(c, now);
    for (; room->fresh_from < to; room->fresh_from++) drop(room->fresh, c->by_date[room->fresh_from]);
    for (; room->fresh_from > to; room->fresh_from--) put(room->fresh, c->by_date[room->fresh_from - 1]);
}

/* What a video at this slot must be for the feed to end with 25 to 35 % new ones, clipped to what there is. */
static void look_ahead(Feed *f, int64_t number) {
    const uint8_t *pattern = f->q->pattern;
    int64_t flow_slots = 0, fresh_slots = 0, video_slots = 0;
    f->needed = 0, f->only = f->kept_for_fresh = -1;
    if (!f->q->wants[VIDEO]) return;
    for (int64_t i = number + 1; i < f->q->n_slots; i++) {
        flow_slots += pattern[i] == FLOW;
        fresh_slots += pattern[i] == FRESH;
        video_slots += pattern[i] != FLOW;
    }
    int64_t flows = f->q->wants[FLOWS] ? f->unseen_left[FLOWS] : 0, left = f->unseen_left[VIDEO];
    int64_t places = 1 + video_slots + (flow_slots > flows ? flow_slots - flows : 0);
    if (places > left + f->seen_left[VIDEO]) places = left + f->seen_left[VIDEO];
    int64_t videos = f->served + places, low = (videos + 2) / 4, high = (7 * videos + 10) / 20;
    if (low > f->new_served + f->new_left) low = f->new_served + f->new_left;
    if (high < f->new_served + places - (left - f->new_left)) high = f->new_served + places - (left - f->new_left);
    f->needed = low - f->new_served;
    if (f->new_served >= high) f->only = 0;
    else if (f->needed >= places) f->only = 1;
    f->kept_for_fresh = f->only;
    if (f->only < 0 && pattern[number] != FRESH && f->new_served + fresh_slots >= high) f->kept_for_fresh = 0;
}

/* Who publishes new videos may have older hits, or flows. Served one of those, a creator is in the window, and their new
 * videos with them. Where those who can still bring a new video are hardly more than the feed needs, their other items
 * wait. Served items and the window, two creators a place, hide fewer than slots + 22 creators, and a feed needs fewer
 * new videos than half its slots: where there are more, nobody ever waits. */
static void watch_makers(Feed *f) {
    const Catalogue *c = f->c;
    Room *room = f->room;
    f->n_makers = -1;
    if (!f->q->wants[VIDEO]) return;
    int64_t n = 0, plenty = 2 * f->q->n_slots + 2 * WINDOW;
    for (int64_t i = c->n_videos - 1; i >= room->fresh_from; i--) {
        int32_t row = c->by_date[i], creator = c->videos[row].creator;
        if (!has(room->unseen[VIDEO], row)) continue;
        if (!room->makers[creator]++) room->maker_list[n++] = creator;
        if (n >= plenty) break;
    }
    if (n < plenty) f->n_makers = n;
    else for (int64_t i = 0; i < n; i++) room->makers[room->maker_list[i]] = 0;
}

/* Whether anybody must wait here. */
static int some_wait(const Feed *f) {
    if (f->n_makers < 0 || f->needed <= 0) return 0;
    int64_t free = 0;
    for (int64_t i = 0; i < f->n_makers; i++) {
        int32_t creator = f->room->maker_list[i];
        free += f->room->makers[creator] && !f->room->times[creator];
    }
    return free && free <= f->needed + SPARE;
}

/* ---------------------------------------------------------------- the admissible */

/* Which rules hold at a try. */
typedef struct {
    int only;    /* rule 5: 1 new, 0 old, -1 either */
    int rule4;
    int window;  /* rule 3 */
    int waiting; /* other items of the makers of new videos wait */
} Rules;

INLINE int by_masks(const Rules *r, int kind) { return is_video(kind) && r->window == WINDOW && !r->waiting; }

INLINE int admits(const Feed *f, const Rules *r, int kind, int64_t row) {
    if (by_masks(r, kind)) /* the same by what is kept: thousands a feed are asked after */
        return (has(f->room->free, row) & ((r->only < 0) | (r->only == has(f->room->fresh, row)))) &&
               !(r->rule4 && !all_pass(f) && fails(f, row));
    if (!has(f->room->unseen[kind], row)) return 0;
    int32_t creator = creator_of(f, kind, row);
    if (r->window == WINDOW ? f->room->times[creator] : places_since(f, creator) < r->window) return 0;
    int fresh = is_video(kind) && is_new(f->c, row, f->q->now);
    if (r->waiting && !fresh && f->room->makers[creator]) return 0;
    if (!is_video(kind)) return 1;
    return (r->only < 0 || r->only == fresh) && !(r->rule4 && !all_pass(f) && fails(f, row));
}

/* How many are admissible, or, where `nth` is not negative, the row of that one of them in ascending order. */
static int64_t walk(Feed *f, const Rules *r, int kind, int64_t nth) {
    int64_t n = is_video(kind) ? f->c->n_videos : f->c->n_flows, count = 0;
    if (!by_masks(r, kind)) {
        for (int64_t row = 0; row < n; row++)
            if (admits(f, r, kind, row) && count++ == nth) return row;
        return count;
    }
    Room *room = f->room;
    const uint64_t *fails_here = r->rule4 && !all_pass(f) ? failing(f) : NULL;
    if (nth < 0 && !fails_here) return r->only < 0 ? room->n_free[0] + room->n_free[1] : room->n_free[r->only];
    uint64_t *found = room->failing, turned = r->only == 0 ? ~(uint64_t)0 : 0;
    for (int64_t w = 0; w < f->c->words; w++) {
        found[w] = room->free[w] & (fails_here ? ~fails_here[w] : ~(uint64_t)0);
        if (r->only >= 0) found[w] &= room->fresh[w] ^ turned;
    }
    if (nth < 0) return count_bits(found, f->c->words);
    for (int64_t w = 0; w < f->c->words; w++) {
        int64_t here = __builtin_popcountll(found[w]);
        if (count + here <= nth) {
            count += here;
            continue;
        }
        uint64_t left = found[w];
        for (; count < nth; count++) left &= left - 1;
        return w * 64 + __builtin_ctzll(left);
    }
    return -1;
}

/* ---------------------------------------------------------------- the draw */

/* The pools to try for a kind, before explore. */
static int ladder(int planned, int kind, int pools[3]) {
    if (!is_video(kind)) return pools[0] = FLOW, 1;
    if (planned == FLOW) return pools[0] = AFFINITY, pools[1] = POPULAR, pools[2] = FRESH, 3;
    return planned == EXPLORE ? 0 : (pools[0] = planned, 1);
}

/* A draw from a shortlist: affinity and flow give their best, popular in proportion to max(score, 0), fresh uniformly,
 * among the first `among` of the list that are admissible.
 * `row`: as an argument the row whose probability is wanted, or -1; then the row drawn, or -1 where nothing of the list
 * is admissible. */
static double draw(const Feed *f, const Rules *r, int kind, int pool, double chance, int32_t *row) {
    const Scored *list = f->room->listed[pool];
    int64_t n = f->room->n_listed[pool], place = -1;
    int32_t wanted = *row;
    if (pool == AFFINITY || pool == FLOW) {
        for (int64_t i = 0; i < n; i++)
            if (admits(f, r, kind, list[i].row)) {
                if (wanted < 0) *row = list[i].row;
                return *row == list[i].row;
            }
        return 0.0;
    }
    double weights[MOST_LISTED], total = 0.0, reach = 0.0;
    int64_t some = 0;
    for (int64_t i = 0; i < n; i++) {
        int in = admits(f, r, kind, list[i].row);
        double weight = pool == POPULAR ? list[i].score : 1.0;
        some += in;
        total += weights[i] = in && weight > 0.0 ? weight : 0.0;
        if (some == f->c->boards[pool].among) n = i + 1;
    }
    if (!some) return 0.0;
    if (!(total > 0.0)) { /* nothing is worth anything: any of them */
        for (int64_t i = 0; i < n; i++) weights[i] = admits(f, r, kind, list[i].row);
        total = (double)some;
    }
    for (int64_t i = 0; i < n && wanted >= 0; i++)
        if (list[i].row == wanted) return weights[i] / total;
    if (wanted >= 0) return 0.0;
    double want = chance * total;
    for (int64_t i = 0; i < n && !(reach > want); i++) {
        reach += weights[i];
        if (weights[i] > 0.0) place = i; /* the last, too, where chance x total rounded up to the total */
    }
    *row = list[place].row;
    return weights[place] / total;
}

/* A choice of `count` admissible: from the first pool of the ladder that has any, mixed with the share epsilon. */
static Choice choose_from(Feed *f, const Rules *r, int kind, int planned, int64_t count, double explore, double chance) {
    double epsilon = f->c->epsilon;
    Choice choice = {kind, EXPLORE, explore < epsilon, -1, 1.0 / (double)count};
    int pools[3], n = ladder(planned, kind, pools);
    int64_t nth = (int64_t)(chance * (double)count);
    if (nth >= count) nth = count - 1;
    for (int i = 0; i < n; i++) {
        int32_t row = -1;
        double share = draw(f, r, kind, pools[i], chance, &row);
        if (row < 0) continue;
        choice.pool = pools[i];
        if (choice.explored) {
            row = (int32_t)walk(f, r, kind, nth);
            share = draw(f, r, kind, pools[i], chance, &row);
        }
        choice.row = row;
        choice.probability = (1.0 - epsilon) * share + epsilon / (double)count;
        return choice;
    }
    choice.row = (int32_t)walk(f, r, kind, nth);
    return choice;
}

/* The oldest interaction that the window lets come back. */
static int oldest_seen(const Feed *f, const int *kinds, int window, Choice *choice) {
    for (int k = 0; k < N_KINDS; k++) {
        int kind = kinds[k];
        if (!f->q->wants[kind]) continue;
        for (int64_t i = f->q->n_seen[kind] - 1; i >= 0; i--) {
            int32_t row = f->q->seen[kind][i];
            if (!has(f->room->seen[kind], row) || places_since(f, creator_of(f, kind, row)) < window) continue;
            *choice = (Choice){kind, EXPLORE, 0, row, 1.0};
            return 1;
        }
    }
    return 0;
}

/* The choice that breaks least; 0: nothing is left. */
static int choose(Feed *f, int64_t number, double explore, double chance, Choice *choice) {
    /* keep new videos for the fresh slots to come, rule 5, rule 4: what is tried, one after the other */
    static const int8_t strictness[5][3] = {{1, 1, 1}, {0, 1, 1}, {0, 0, 1}, {0, 1, 0}, {0, 0, 0}};
    int planned = f->q->pattern[number], kinds[N_KINDS] = {VIDEO, FLOWS};
    if (planned == FLOW) kinds[0] = FLOWS, kinds[1] = VIDEO;
    if (some_wait(f)) {
        int kind = f->q->wants[kinds[0]] ? kinds[0] : kinds[1];
        Rules r = {f->kept_for_fresh, 1, WINDOW, 1};
        int64_t count = walk(f, &r, kind, -1);
        if (count) return *choice = choose_from(f, &r, kind, planned, count, explore, chance), 1;
    }
    for (int window = WINDOW; window > 0; window--) {
        for (int s = 0; s < 5; s++) {
            int keep = strictness[s][0], only = !strictness[s][1] ? -1 : keep ? f->kept_for_fresh : f->only;
            for (int k = 0; k < N_KINDS; k++) {
                int kind = kinds[k];
                if (!f->q->wants[kind] || (kind == FLOWS && keep && planned != FLOW)) continue;
                Rules r = {only, strictness[s][2], window, 0};
                int64_t count = walk(f, &r, kind, -1);
                if (count) return *choice = choose_from(f, &r, kind, planned, count, explore, chance), 1;
            }
        }
        if (oldest_seen(f, kinds, window, choice)) return 1;
    }
    return 0;
}

static int32_t broken_by(const Feed *f, const Choice *choice) {
    int32_t broken = 0;
    if (is_video(choice->kind)) {
        if (f->only >= 0 && f->only != is_new(f->c, choice->row, f->q->now)) broken |= NEW_CONTENT;
        if (fails(f, choice->row)) broken |= SKILL_DIVERSITY;
    }
    if (has(f->room->seen[choice->kind], choice->row)) broken |= ALREADY_SEEN;
    if (f->room->times[creator_of(f, choice->kind, choice->row)]) broken |= CREATOR_WINDOW;
    return broken;
}

static void serve(Feed *f, const Choice *choice) {
    Room *room = f->room;
    int64_t row = choice->row;
    int32_t creator = creator_of(f, choice->kind, row);
    int seen = has(room->seen[choice->kind], row);
    if (is_video(choice->kind)) {
        int fresh = is_new(f->c, row, f->q->now);
        const int32_t *skills = f->c->videos[row].tokens;
        f->served++;
        f->new_served += fresh;
        if (!seen) {
            f->new_left -= fresh;
            if (fresh && f->n_makers >= 0) room->makers[creator]--;
            if (has(room->free, row)) drop(room->free, row), room->n_free[fresh]--;
        }
        if (f->n_waiting + N_SKILLS > (int64_t)(sizeof f->waiting / sizeof *f->waiting)) count_used(f);
        for (int i = 0; i < N_SKILLS && skills[i]; i++) {
            f->slack -= 3;
            if (room->used[skills[i]]) continue;
            room->used[skills[i]] = 1;
            f->waiting[f->n_waiting++] = skills[i];
            f->slack += 5;
        }
    }
    if (seen) drop(room->seen[choice->kind], row), f->seen_left[choice->kind]--;
    else drop(room->unseen[choice->kind], row), f->unseen_left[choice->kind]--;
    push(f, creator, -1);
}

static void begin(Feed *f) {
    const Catalogue *c = f->c;
    const Request *q = f->q;
    Room *room = f->room;
    const int64_t count[N_KINDS] = {c->n_videos, c->n_flows};
    for (int kind = VIDEO; kind < N_KINDS; kind++) {
        if (!q->wants[kind]) continue;
        f->unseen_left[kind] = count_bits(room->unseen[kind], (count[kind] + 63) / 64);
        f->seen_left[kind] = count_bits(room->seen[kind], (count[kind] + 63) / 64);
    }
    if (q->wants[VIDEO]) {
        follow(c, room, q->now);
        for (int64_t w = 0; w < c->words; w++) room->free[w] = room->unseen[VIDEO][w] & room->fresh[w];
        f->new_left = count_bits(room->free, c->words);
        memcpy(room->free, room->unseen[VIDEO], (size_t)c->words * sizeof *room->free);
        room->n_free[1] = f->new_left;
        room->n_free[0] = f->unseen_left[VIDEO] - f->new_left;
        watch_makers(f);
    }
    for (int64_t i = 0; i < q->n_recent; i++) {
        int32_t first = q->recent[2 * i], second = q->recent[2 * i + 1];
        push(f, first < c->n_creators ? first : -1, second < c->n_creators ? second : -1);
    }
}

static void end(Feed *f, const Slot *slots, int64_t n) {
    Room *room = f->room;
    for (int64_t i = 0; i < f->n_places; i++)
        for (int k = 0; k < 2; k++)
            if (f->places[i][k] >= 0) room->times[f->places[i][k]] = 0;
    for (int64_t i = 0; i < f->n_makers; i++) room->makers[room->maker_list[i]] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; is_video(slots[i].kind) && k < N_SKILLS; k++)
            room->used[f->c->videos[slots[i].row].tokens[k]] = 0;
}

/* The slots of a feed; returns how many there are. `within`: whether the feed keeps rule 5. Wants the shortlists. */
QUICK int64_t place_slots(const Catalogue *c, const Request *q, Room *room, Slot *slots, int64_t *within) {
    Feed f = {.c = c, .q = q, .room = room, .n_makers = -1};
    uint64_t explore = key_of(q->draw_seed, STREAM_EXPLORE), chance = key_of(q->draw_seed, STREAM_DRAW);
    const uint64_t gamma = 0x9E3779B97F4A7C15u;
    int64_t n = 0;
    begin(&f);
    for (; n < q->n_slots; n++) {
        Choice choice;
        uint64_t counter = (uint64_t)n * gamma;
        look_ahead(&f, n);
        if (!choose(&f, n, uniform(explore, counter), uniform(chance, counter), &choice)) break;
        slots[n] = (Slot){choice.kind, choice.row, choice.pool, choice.explored, broken_by(&f, &choice), 0,
                          choice.probability};
        serve(&f, &choice);
    }
    end(&f, slots, n);
    *within = (f.served + 2) / 4 <= f.new_served && f.new_served <= (7 * f.served + 10) / 20;
    return n;
}

/* All stages: as `place_slots`. */
EXPORT int64_t talentfeed_feed(const Catalogue *c, const Request *q, Room *room, Slot *slots, int64_t *within) {
    talentfeed_candidates(c, q, room);
    if (q->wants[VIDEO]) (c->learned.on ? talentfeed_learned_shortlists : talentfeed_shortlists)(c, q, room);
    if (q->wants[FLOWS]) flow_shortlist(c, q, room);
    return place_slots(c, q, room, slots, within);
}

/* Digest of the sources that this was compiled from. */
EXPORT const char talentfeed_source[] = TALENTFEED_SOURCE;

EXPORT void talentfeed_sizes(int64_t sizes[10]) {
    const int64_t found[10] = {sizeof(Video),     sizeof(Flow),    sizeof(Fixed), sizeof(Glance), sizeof(Board),
                               sizeof(Catalogue), sizeof(Request), sizeof(Room),  sizeof(Learned), sizeof(Slot)};
    memcpy(sizes, found, sizeof found);
}
