-- Calls of the platform's hook, one row for each step: making what a tenant needs outside of Pulse, taking it back.
create table pulse.hook_calls (
    -- From whose step it is: the webhook-id, and the key under which it is done once, however often it is called.
    call_id     uuid        not null primary key,
    type        text        not null check (type in ('provision', 'deprovision')),
    org_id      uuid        not null,
    -- Whose step: a signup's (its own, or taking back what it left behind), or a purge's.
    signup_id   uuid        null,
    purge_id    uuid        null,
    -- pending: to be called. waiting: the platform took it for later, and tells.
    status      text        not null default 'pending' check (status in ('pending', 'waiting', 'succeeded', 'failed')),
    -- Who may store what came of a call: the one that took it last.
    fence       bigint      not null default 0,
    lease_until timestamptz null,
    attempts    integer     not null default 0,
    -- Attempts of which nobody knows whether they did anything. With one of them, a provision that failed is taken back.
    unknown     integer     not null default 0,
    -- Not called before; of one that waits: for how long.
    next_at     timestamptz not null,
    -- From then on it is given up. A deprovision never is.
    deadline    timestamptz null,
    -- What the callback's token is made from, together with the hook's secret: each try sends the same bytes, and the token is not kept.
    seed        bytea       not null,
    -- How the last attempt ended, in a word.
    outcome     text        null,
    -- What the platform told afterwards.
    completion        text        null check (completion in ('succeeded', 'failed')),
    completion_reason text        null,
    completed_at      timestamptz null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    ended_at    timestamptz null,
    check ((ended_at is null) = (status in ('pending', 'waiting')))
);
-- For the sweep and the gauges: holds only what is under way.
create index hook_calls_unfinished on pulse.hook_calls (next_at) where status in ('pending', 'waiting');
create index hook_calls_org on pulse.hook_calls (org_id);
create index hook_calls_ended_at on pulse.hook_calls using brin (ended_at);

-- Who has the token may complete the call. Only the SHA-256 of its 256 bits is kept.
create table pulse.hook_tokens (
    token_hash bytea       not null primary key,
    call_id    uuid        not null references pulse.hook_calls on delete cascade,
    expires_at timestamptz not null
);
create index hook_tokens_call on pulse.hook_tokens (call_id);

-- All that ingress can do here: it sees neither calls nor tokens. Under the call's lock, so that a completion and a deadline can't both win.
-- taken: this one counts. repeated: it was told before, or is so already. contradicted: something else was. late: given up. unknown: no such token.
create function pulse.complete_hook_call(token_hash bytea, outcome text, reason text, at timestamptz)
returns table (answer text, call_id uuid) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    token pulse.hook_tokens;
    call pulse.hook_calls;
begin
    select * into token from pulse.hook_tokens t where t.token_hash = $1;
    select * into call from pulse.hook_calls c where c.call_id = token.call_id for update;
    if call.call_id is null then
        return query select 'unknown', null::uuid;
    elsif call.completion is not null or call.status = 'succeeded' then
        return query select case when coalesce(call.completion, call.status) = $2 then 'repeated' else 'contradicted' end, call.call_id;
    elsif call.status = 'failed' or $4 >= token.expires_at then
        return query select 'late', call.call_id;
    else
        update pulse.hook_calls c set completion = $2, completion_reason = $3, completed_at = $4, updated_at = $4 where c.call_id = call.call_id;
        return query select 'taken', call.call_id;
    end if;
end $$;
revoke all on function pulse.complete_hook_call from public;
grant execute on function pulse.complete_hook_call to pulse_ingress;
