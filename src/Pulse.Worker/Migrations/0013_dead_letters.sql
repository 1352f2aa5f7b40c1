-- What failed, taken from the _error and _skipped queues: one row for each message of each queue, however often it failed.
create table pulse.dead_letters (
    dead_letter_id    uuid        not null primary key,
    -- The queue that failed, without _error or _skipped: where a replay goes, and nowhere else.
    queue             text        not null,
    -- Of a message without one: derived from its bytes.
    message_id        uuid        not null,
    -- fault: a consumer threw; skipped: the endpoint had no consumer for it; delivery_limit: it was delivered too often, so its consumer died
    -- with the process; other: something else put it there.
    reason            text        not null check (reason in ('fault', 'skipped', 'delivery_limit', 'other')),
    -- False for what is no MassTransit envelope: it is kept as it came.
    is_envelope       boolean     not null,
    -- Without the urn's prefix, such as Pulse.Contracts.Billing:SyncStripeCustomer.
    message_type      text        null,
    -- Of the last failure. Cut, and with U+FFFD for what Postgres can't hold as text.
    exception_type    text        null,
    exception_message text        null,
    stack             text        null,
    -- exception_type, the stack without what differs between two runs, and message_type, hashed: 32 hex digits.
    fingerprint       text        not null,
    -- As the body has it, if it has one.
    org_id            uuid        null,
    -- Every UUID in the body, the headers and the exceptions' texts, up to 64 of each failure: what a letter is looked up by, and erased by.
    ids               uuid[]      not null default '{}',
    content_type      text        not null,
    -- Transport headers as they came. Values that are no string, number or boolean are for the eye only, and not replayed.
    headers           jsonb       not null,
    body              bytea       compression lz4 not null,
    -- Larger than a row may be: the body's beginning is kept for the eye, and nothing replays it.
    body_cut          boolean     not null default false,
    body_bytes        integer     not null,
    status            text        not null default 'parked' check (status in
                      ('parked', 'queued', 'replayed', 'resolved', 'failed_again', 'quarantined', 'discarded')),
    first_failed_at   timestamptz not null,
    last_failed_at    timestamptz not null,
    -- How often it failed: the number of its rows in dead_letter_occurrences.
    occurrences       integer     not null default 1,
    -- The last replay that sent it, how many there were, and how many of them failed since it last was resolved or restored.
    replay_id         uuid        null,
    attempts          integer     not null default 0,
    failed_replays    integer     not null default 0,
    -- When its status last changed.
    changed_at        timestamptz not null,
    collected_at      timestamptz not null,
    -- Of a discarded one.
    discard_reason    text        null,
    discarded_by      text        null,
    -- An edited copy is a dead letter of its own, with a message id of its own.
    edited_from       uuid        null,
    edited_into       uuid        null,
    -- Of an edited copy: [{"path","before","after"}], only what differs. Payload: masked like the body is.
    edit              jsonb       null,
    unique (queue, message_id)
) with (fillfactor = 85);

-- Every page is read for one status after the other, newest first, and merged: so each filter is quick with any set of statuses.
create index dead_letters_status on pulse.dead_letters (status, last_failed_at desc, dead_letter_id desc);
-- For words that are in many of them.
create index dead_letters_last on pulse.dead_letters (last_failed_at desc, dead_letter_id desc);
create index dead_letters_fingerprint on pulse.dead_letters (fingerprint, status, last_failed_at desc, dead_letter_id desc);
create index dead_letters_queue on pulse.dead_letters (queue, status, last_failed_at desc, dead_letter_id desc);
create index dead_letters_message_type on pulse.dead_letters (message_type, status, last_failed_at desc, dead_letter_id desc);
create index dead_letters_exception_type on pulse.dead_letters (exception_type, status, last_failed_at desc, dead_letter_id desc);
create index dead_letters_org on pulse.dead_letters (org_id, status, last_failed_at desc, dead_letter_id desc) where org_id is not null;
create index dead_letters_ids on pulse.dead_letters using gin (ids);

create function pulse.dead_letter_text(exception_type text, exception_message text, message_type text, queue text) returns tsvector
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select to_tsvector('pg_catalog.simple', left(translate(concat_ws(' ', exception_type, exception_message, message_type, queue), ':./@', '    '), 8000))
$$;
create index dead_letters_text on pulse.dead_letters using gin (pulse.dead_letter_text(exception_type, exception_message, message_type, queue));

-- For retention.
create index dead_letters_changed_at on pulse.dead_letters (status, changed_at);

-- One row a failure. The same failure may arrive twice, after a crash between commit and acknowledgement: it is one row all the same.
create table pulse.dead_letter_occurrences (
    dead_letter_id    uuid        not null references pulse.dead_letters on delete cascade,
    -- The failure's time as its header has it; for what has none, what else tells one failure from another.
    failure           text        not null,
    failed_at         timestamptz not null,
    exception_type    text        null,
    exception_message text        null,
    -- The replay that failed, if it was one.
    replay_id         uuid        null,
    host              text        null,
    primary key (dead_letter_id, failure)
);

-- What the letters of one fingerprint have in common. Nothing of a payload, and no exception's message: that stands in the letters.
create table pulse.dead_letter_groups (
    fingerprint     text        not null primary key,
    exception_type  text        null,
    message_type    text        null,
    reason          text        not null,
    -- Normalised: what the fingerprint is of.
    stack           text        null,
    first_failed_at timestamptz not null,
    last_failed_at  timestamptz not null,
    -- The letter that failed last.
    sample_id       uuid        not null
) with (fillfactor = 85);
create index dead_letter_groups_last on pulse.dead_letter_groups (last_failed_at desc, fingerprint desc);

-- How many letters there are, by group, queue and status. Every change of a letter appends its difference, so nobody waits for anybody's row;
-- a sweep adds the differences up. The sum of both tables is right at every moment.
create table pulse.dead_letter_counts (
    fingerprint text   not null,
    queue       text   not null,
    status      text   not null,
    letters     bigint not null,
    primary key (fingerprint, queue, status)
) with (fillfactor = 70);
create table pulse.dead_letter_differences (
    fingerprint text   not null,
    queue       text   not null,
    status      text   not null,
    letters     bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index dead_letter_differences_fingerprint on pulse.dead_letter_differences (fingerprint);

create function pulse.count_inserted_dead_letters() returns trigger language plpgsql as $$
begin
    insert into pulse.dead_letter_differences (fingerprint, queue, status, letters)
    select fingerprint, queue, status, count(*) from added group by 1, 2, 3;
    return null;
end $$;
create function pulse.count_updated_dead_letters() returns trigger language plpgsql as $$
begin
    insert into pulse.dead_letter_differences (fingerprint, queue, status, letters)
    select fingerprint, queue, status, sum(letters) from (
        select fingerprint, queue, status, 1 as letters from added
        union all select fingerprint, queue, status, -1 from removed) as changes
    group by 1, 2, 3 having sum(letters) <> 0;
    return null;
end $$;
create function pulse.count_deleted_dead_letters() returns trigger language plpgsql as $$
begin
    insert into pulse.dead_letter_differences (fingerprint, queue, status, letters)
    select fingerprint, queue, status, -count(*) from removed group by 1, 2, 3;
    return null;
end $$;
create trigger dead_letters_inserted after insert on pulse.dead_letters referencing new table as added
    for each statement execute function pulse.count_inserted_dead_letters();
create trigger dead_letters_updated after update on pulse.dead_letters referencing old table as removed new table as added
    for each statement execute function pulse.count_updated_dead_letters();
create trigger dead_letters_deleted after delete on pulse.dead_letters referencing old table as removed
    for each statement execute function pulse.count_deleted_dead_letters();

create table pulse.replays (
    -- The operation that planned it.
    replay_id     uuid        not null primary key,
    status        text        not null default 'planned' check (status in
                  ('planned', 'canary', 'running', 'paused', 'stopped', 'cancelled', 'completed', 'expired')),
    -- How it was asked for, and what the plan said: docs/dead-letters.md.
    request       jsonb       not null,
    plan          jsonb       not null,
    -- What the last preview said.
    preview       jsonb       null,
    -- Frozen with the plan; what of it was not free any more at the start is 'excluded' among the items.
    letters       integer     not null,
    planned_by    text        not null,
    planned_at    timestamptz not null,
    expires_at    timestamptz not null,
    -- From the start: 0 is without a limit, and without a canary.
    rate_per_second       double precision null,
    canary                integer          null,
    stop_on_failure_ratio double precision null,
    started_by    text        null,
    started_at    timestamptz null,
    -- When the canary must have been handled.
    canary_until  timestamptz null,
    -- The due time of what is claimed next.
    next_due_at   timestamptz null,
    ended_at      timestamptz null,
    -- Why it stopped by itself: failure_ratio, canary_failed, canary_unanswered.
    stop_reason   text        null,
    -- What resume goes back to.
    paused_in     text        null check (paused_in in ('canary', 'running')),
    changed_at    timestamptz not null
);
create index replays_planned_at on pulse.replays (planned_at desc, replay_id desc);
create index replays_open on pulse.replays (status) where status in ('planned', 'canary', 'running', 'paused');

create table pulse.replay_items (
    replay_id      uuid        not null references pulse.replays on delete cascade,
    -- The order of sending: the oldest failure first.
    position       integer     not null,
    dead_letter_id uuid        not null references pulse.dead_letters on delete cascade,
    -- planned → queued (in the outbox) → sent (with the broker) → resolved | failed_again | unanswered;
    -- excluded: taken by another replay or no longer replayable at the start; cancelled: never sent.
    state          text        not null default 'planned' check (state in
                   ('planned', 'queued', 'sent', 'resolved', 'failed_again', 'unanswered', 'excluded', 'cancelled')),
    -- Between the start and its end, or until it is handled.
    active         boolean     not null default false,
    attempt        integer     null,
    -- The outbox row, and with it whether it is still there.
    outbox_id      uuid        null,
    due_at         timestamptz null,
    sent_at        timestamptz null,
    handled_at     timestamptz null,
    primary key (replay_id, position)
) with (fillfactor = 85);
-- One active replay for each letter.
create unique index replay_items_active on pulse.replay_items (dead_letter_id) where active;
create unique index replay_items_letter on pulse.replay_items (dead_letter_id, replay_id);
create index replay_items_under_way on pulse.replay_items (replay_id) where state in ('queued', 'sent');
create index replay_items_state on pulse.replay_items (replay_id, state, position);

-- What operators see. Payloads are apart, so that a list can't read one by accident.
create view pulse.dead_letters_v1 as
select dead_letter_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id,
    content_type, body_bytes, body_cut, status, first_failed_at, last_failed_at, occurrences, replay_id, attempts, failed_replays, changed_at,
    discard_reason, discarded_by, edited_from, edited_into
from pulse.dead_letters;
create view pulse.dead_letter_payloads_v1 as
select dead_letter_id, content_type, headers, body, body_cut, edit from pulse.dead_letters;
create view pulse.dead_letter_occurrences_v1 as
select dead_letter_id, failed_at, exception_type, exception_message, replay_id, host from pulse.dead_letter_occurrences;

-- Exact at every moment.
create view pulse.dead_letter_counts_v1 as
select fingerprint, queue, status, sum(letters)::bigint as letters from (
    select fingerprint, queue, status, letters from pulse.dead_letter_counts
    union all
    select fingerprint, queue, status, letters from pulse.dead_letter_differences) as parts
group by fingerprint, queue, status having sum(letters) <> 0;

-- By last_failed_at desc, fingerprint desc a page costs a page.
create view pulse.dead_letter_groups_v1 as
select g.fingerprint, g.reason, g.exception_type, g.message_type, g.stack, g.first_failed_at, g.last_failed_at, g.sample_id, c.*
from pulse.dead_letter_groups g
cross join lateral (
    select coalesce(sum(letters), 0)::bigint as letters,
        coalesce(sum(letters) filter (where status = 'parked'), 0)::bigint as parked,
        coalesce(sum(letters) filter (where status = 'queued'), 0)::bigint as queued,
        coalesce(sum(letters) filter (where status = 'replayed'), 0)::bigint as replayed,
        coalesce(sum(letters) filter (where status = 'resolved'), 0)::bigint as resolved,
        coalesce(sum(letters) filter (where status = 'failed_again'), 0)::bigint as failed_again,
        coalesce(sum(letters) filter (where status = 'quarantined'), 0)::bigint as quarantined,
        coalesce(sum(letters) filter (where status = 'discarded'), 0)::bigint as discarded,
        array_agg(distinct queue) filter (where letters <> 0) as queues
    from (
        select queue, status, sum(letters) as letters from (
            select n.queue, n.status, n.letters from pulse.dead_letter_counts n where n.fingerprint = g.fingerprint
            union all
            select n.queue, n.status, n.letters from pulse.dead_letter_differences n where n.fingerprint = g.fingerprint) as parts
        group by queue, status) as counts) as c;

-- The counts stand for themselves: what is still to come is planned + queued + sent.
create view pulse.replays_v1 as
select r.replay_id, r.status, r.request, r.plan, r.preview, r.letters, r.planned_by, r.planned_at, r.expires_at, r.rate_per_second, r.canary,
    r.stop_on_failure_ratio, r.started_by, r.started_at, r.canary_until, r.ended_at, r.stop_reason, r.changed_at,
    n.planned, n.queued, n.sent, n.resolved, n.failed_again, n.unanswered, n.excluded, n.cancelled
from pulse.replays r
cross join lateral (
    select count(*) filter (where state = 'planned') as planned, count(*) filter (where state = 'queued') as queued,
        count(*) filter (where state = 'sent') as sent, count(*) filter (where state = 'resolved') as resolved,
        count(*) filter (where state = 'failed_again') as failed_again, count(*) filter (where state = 'unanswered') as unanswered,
        count(*) filter (where state = 'excluded') as excluded, count(*) filter (where state = 'cancelled') as cancelled
    from pulse.replay_items i where i.replay_id = r.replay_id) as n;
create view pulse.replay_items_v1 as
select replay_id, position, dead_letter_id, state, active, attempt, due_at, sent_at, handled_at from pulse.replay_items;

-- The one reading of a filter, for lists and for plans: what an operator saw is what is replayed. Newest first; the page behind a row is
-- asked for with that row's last_failed_at and id. Each part of the filter may be missing:
-- queue, message_type, exception_type, fingerprint, org_id, reason: equal; status: one or an array; failed_from (inclusive), failed_until
-- (exclusive): by the last failure; text: words that all occur in exception, message type or queue, each by itself; id: any UUID that occurs in
-- the message.
create function pulse.find_dead_letters(filter jsonb, before_at timestamptz, before_id uuid, most integer)
returns table (dead_letter_id uuid, last_failed_at timestamptz)
-- A page. Of a thousand, which is what it takes otherwise, the planner would read all of ten thousand letters to join them.
language plpgsql stable rows 50 security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
    word text;
    conditions text := '';
begin
    foreach name in array array['queue', 'message_type', 'exception_type', 'fingerprint', 'reason'] loop
        if filter ->> name is not null then
            conditions := conditions || format(' and d.%I = $1 ->> %L', name, name);
        end if;
    end loop;
    if filter ->> 'org_id' is not null then conditions := conditions || ' and d.org_id = ($1 ->> ''org_id'')::uuid'; end if;
    if filter ->> 'id' is not null then conditions := conditions || ' and d.ids @> array[($1 ->> ''id'')::uuid]'; end if;
    if filter ->> 'failed_from' is not null then conditions := conditions || ' and d.last_failed_at >= ($1 ->> ''failed_from'')::timestamptz'; end if;
    if filter ->> 'failed_until' is not null then conditions := conditions || ' and d.last_failed_at < ($1 ->> ''failed_until'')::timestamptz'; end if;
    if filter ->> 'text' is not null then
        conditions := conditions || ' and pulse.dead_letter_text(d.exception_type, d.exception_message, d.message_type, d.queue)'
            || ' @@ plainto_tsquery(''pg_catalog.simple'', translate($1 ->> ''text'', '':./@'', ''    ''))';
        -- The index finds parts of words as well. A word that is masked must not be found by its parts: it would be told piece by piece. Ingress
        -- takes none but words that are shown where they stand alone, between spaces and the signs around them, or as a part of a type's name.
        foreach word in array regexp_split_to_array(btrim(filter ->> 'text'), '\s+') loop
            word := regexp_replace(word, '([^[:alnum:]])', '\\\1', 'g');
            conditions := conditions || format(' and (d.exception_message ~* %L or concat_ws('' '', d.exception_type, d.message_type, d.queue) ~* %L)',
                '(^|[ \t\r\n])[][(){}<>"''`“”‘’«».,;:!?=|*…]*' || word || '[][(){}<>"''`“”‘’«».,;:!?=|*…]*($|[ \t\r\n])',
                '(^|[].:+`,&*<>| [])' || word || '($|[].:+`,&*<>| [])');
        end loop;
    end if;
    if before_at is not null then conditions := conditions || ' and (d.last_failed_at, d.dead_letter_id) < ($2, $3)'; end if;

    -- Each status has its own order in each index, so pages are merged of one page a status. Words and ids are found all at once instead: their
    -- index would be read anew for each status. Which words are so frequent that walking through time finds a page sooner, the planner knows.
    return query execute
        case when filter ->> 'text' is null and filter ->> 'id' is null then
            'select page.dead_letter_id, page.last_failed_at from unnest($5) as wanted (status) cross join lateral ('
            || ' select d.dead_letter_id, d.last_failed_at from pulse.dead_letters d where d.status = wanted.status' || conditions
            || ' order by d.last_failed_at desc, d.dead_letter_id desc limit $4) as page'
            || ' order by page.last_failed_at desc, page.dead_letter_id desc limit $4'
        else
            'select d.dead_letter_id, d.last_failed_at from pulse.dead_letters d where d.status = any ($5)' || conditions
            || ' order by d.last_failed_at desc, d.dead_letter_id desc limit $4'
        end
    using filter, before_at, before_id, most,
        case jsonb_typeof(filter -> 'status')
            when 'array' then array(select distinct jsonb_array_elements_text(filter -> 'status'))
            when 'string' then array[filter ->> 'status']
            else array['parked', 'queued', 'replayed', 'resolved', 'failed_again', 'quarantined', 'discarded'] end;
end $$;
revoke all on function pulse.find_dead_letters from public;

-- For the purge of an organization: every letter that mentions it, and what operators wrote when they edited one.
create function pulse.erase_dead_letters(org uuid) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    erased uuid[];
begin
    with gone as (
        delete from pulse.dead_letters d
        where d.org_id = org or d.ids @> array[org]
            -- As many as are kept of one failure: there may be more of them.
            or (cardinality(d.ids) >= 64 and position(org::text in lower(concat_ws(' ', encode(d.body, 'escape'), d.stack, d.headers::text,
                (select string_agg(o.exception_message, ' ') from pulse.dead_letter_occurrences o where o.dead_letter_id = d.dead_letter_id)))) > 0)
        returning d.dead_letter_id)
    select coalesce(array_agg(dead_letter_id), '{}') into erased from gone;
    delete from pulse.operations o
    where o.kind = 'deadletters.edit' and (o.request ->> 'dead_letter_id') = any (select id::text from unnest(erased) as id);
    -- Plans tell samples: ids and the words of a filter.
    update pulse.replays r set request = r.request #- '{filter,org_id}' #- '{filter,id}'
    where r.request -> 'filter' ->> 'org_id' = org::text or r.request -> 'filter' ->> 'id' = org::text;
    return cardinality(erased);
end $$;
revoke all on function pulse.erase_dead_letters from public;

grant select on pulse.dead_letters_v1, pulse.dead_letter_payloads_v1, pulse.dead_letter_occurrences_v1, pulse.dead_letter_counts_v1,
    pulse.dead_letter_groups_v1, pulse.replays_v1, pulse.replay_items_v1 to pulse_ingress;
grant execute on function pulse.find_dead_letters to pulse_ingress;

select pulse.isolate('pulse.dead_letters');
