alter table pulse.organizations
    -- Which of its deletions this is: the operation that asked for it. A timer or a confirmation of another one means nothing.
    add column deletion_id   uuid    null,
    -- It may be purged without an export.
    add column export_waived boolean not null default false;
update pulse.organizations set deletion_id = gen_random_uuid() where status = 'pending_deletion';

-- The database's own clock. A worker whose clock differs purges nothing.
create function pulse.database_time() returns timestamptz language sql volatile as $$ select clock_timestamp() $$;

-- Purges under way. A row goes when the tombstone comes.
create table pulse.purges (
    -- The deletion's id.
    purge_id      uuid        not null primary key,
    org_id        uuid        not null unique,
    -- export → deprovision → rows → certify → (the tombstone)
    step          text        not null check (step in ('export', 'deprovision', 'rows', 'certify')),
    requested_at  timestamptz not null,
    started_at    timestamptz not null,
    -- An operator had confirmed it: it does not count against the blast radius.
    approved      boolean     not null,
    export_waived boolean     not null,
    export_sha256 bytea       null,
    export_bytes  bigint      null,
    -- Rows deleted, by table.
    counts        jsonb       null,
    -- What nothing may be left of. Gone with the row.
    emails        text[]      not null default '{}',
    -- Why it does not go on, and since when.
    waiting       text        null check (waiting in ('export_dir_missing', 'export_failed', 'billing', 'residue')),
    waiting_since timestamptz null,
    attempts      integer     not null default 0,
    -- When the sweep drives it on, if nothing has.
    next_at       timestamptz not null
);
create index purges_started_at on pulse.purges (started_at);
create index purges_next_at on pulse.purges (next_at);

-- What an operator confirmed, by the hash of the list that it was on.
create table pulse.purge_approvals (
    deletion_id  uuid        not null primary key,
    org_id       uuid        not null,
    operation_id uuid        not null,
    approved_at  timestamptz not null
);

-- What stays of an organization: no personal data. Of an email, the SHA-256 of the organization's id, a space and the email.
create table pulse.tombstones (
    org_id        uuid        not null primary key,
    purge_id      uuid        not null,
    email_hashes  bytea[]     not null,
    requested_at  timestamptz not null,
    started_at    timestamptz not null,
    purged_at     timestamptz not null,
    approved      boolean     not null,
    -- Null: the export was waived.
    export_sha256 bytea       null,
    export_bytes  bigint      null,
    counts        jsonb       not null,
    -- How many columns were searched for the organization's id and emails, and how many rows had one: none.
    residue_columns integer   not null,
    residue_rows  bigint      not null check (residue_rows = 0),
    -- Of its end in the audit log.
    audit_seq     bigint      not null
);
create index tombstones_started_at on pulse.tombstones (started_at);

-- What a purge may begin with now and nobody has confirmed: what a sweep would purge.
create function pulse.reaper_due(at timestamptz) returns table (org_id uuid, deletion_id uuid, purge_after timestamptz) language sql stable as $$
    select o.org_id, o.deletion_id, o.purge_after from pulse.organizations o
    where o.status = 'pending_deletion' and o.purge_after <= at and o.purge_started_at is null and o.legal_hold_at is null and not o.is_default
      and o.deletion_id is not null and o.deletion_requested_at + make_interval(hours => 24 * o.retention_days) <= at
      and not exists (select from pulse.purge_approvals a where a.deletion_id = o.deletion_id)
$$;

-- What a dry run prints, and what a confirmation names.
create function pulse.reaper_list(at timestamptz) returns table (org_id uuid, deletion_id uuid, purge_after timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select d.org_id, d.deletion_id, d.purge_after from pulse.reaper_due(at) d order by d.org_id
$$;
create function pulse.reaper_hash(at timestamptz) returns text language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select encode(sha256(convert_to(coalesce(string_agg(d.org_id || ' ' || d.deletion_id, E'\n' order by d.org_id), ''), 'UTF8')), 'hex')
    from pulse.reaper_due(at) d
$$;
revoke all on function pulse.reaper_list, pulse.reaper_hash from public;

-- What Stripe is asked to do for a deletion: its subscriptions end with their period, and with a restore they don't.
create table pulse.stripe_deletions (
    deletion_id   uuid        not null primary key,
    org_id        uuid        not null references pulse.organizations,
    -- Those that were going on when it was deleted. Written down before the first is cancelled, so that a restore knows which were Pulse's doing.
    subscriptions text[]      not null,
    cancelled     text[]      not null default '{}',
    resumed       text[]      not null default '{}',
    failures      integer     not null default 0,
    cancelled_at  timestamptz null,
    resumed_at    timestamptz null
);
create index stripe_deletions_org on pulse.stripe_deletions (org_id);

-- Whether something outside must be done first that could not be done any more without the rows: then what it is.
-- Somebody whose rows are gone would be charged for ever.
create function pulse.purge_waits_for(org uuid, deletion uuid) returns text language sql stable as $$
    select 'billing'
    where exists (select from pulse.stripe_customers where org_id = org)
      and not exists (select from pulse.stripe_deletions where deletion_id = deletion and cancelled_at is not null)
$$;

-- The tables that have an organization's id. From the catalog itself, here and below: information_schema takes thirty milliseconds to say the
-- same, and a quarter of a second for every column.
create view pulse.org_tables as
select c.relname::text as table_name
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'pulse'::regnamespace and c.relkind in ('r', 'p') and a.attname = 'org_id' and a.atttypid = 'uuid'::regtype
  and not a.attisdropped and not c.relispartition;

-- Everything that the database has about an organization, but for secrets. Every table with an org_id is in it by itself.
create function pulse.export_rows(org uuid) returns table (place text, body text) language plpgsql stable set jit = off as $$
declare
    one record;
begin
    for one in
        select c.table_name from pulse.org_tables c where c.table_name not in ('purges', 'tombstones', 'purge_approvals')
        order by c.table_name = 'organizations' desc, c.table_name
    loop
        return query execute format('select %L::text, (to_jsonb(t) - array[''password_hash'', ''secret_hash'', ''token_hash'', ''seed''])::text from pulse.%I t where t.org_id = $1', one.table_name, one.table_name) using org;
    end loop;
    return query select 'users', (to_jsonb(u) - 'password_hash')::text
        from pulse.users u join pulse.memberships m using (user_id) where m.org_id = org;
    return query select 'stripe_events', (to_jsonb(e) || jsonb_build_object('body', encode(e.body, 'escape')))::text
        from pulse.stripe_events e join pulse.stripe_customers c using (customer_id) where c.org_id = org;
end $$;

-- Deletes every row of an organization. Whoever adds a table whose rows have the organization elsewhere than in a column org_id extends it.
-- Repeated, it deletes nothing more.
create function pulse.purge_rows(org uuid, out counts jsonb, out emails text[]) language plpgsql set jit = off as $$
declare
    one record;
    gone bigint;
    more bigint;
    customers text[];
    owners uuid[];
    mentions bytea[];
    asked uuid[];
begin
    counts := '{}';
    emails := '{}';
    -- From here on nothing can be added to it, and the trigger on the delete below refuses what may not be purged.
    perform from pulse.organizations where org_id = org for update;
    if not found then
        return;
    end if;

    -- Who is a member elsewhere stays.
    owners := array(
        select m.user_id from pulse.memberships m
        where m.org_id = org and not exists (select from pulse.memberships other where other.user_id = m.user_id and other.org_id <> org));
    emails := array(select distinct e from pulse.users u, unnest(array[lower(u.email), u.email_normalized]) e where u.user_id = any(owners));
    customers := array(select customer_id from pulse.stripe_customers where org_id = org or org_id is null and position(org::text in problem) > 0);
    mentions := array(
        select distinct convert_to(word, 'UTF8') from (
            select unnest(emails) union all select u.email from pulse.users u where u.user_id = any(owners)
            union all select unnest(customers) union all select org::text) words (word));

    -- A body is nobody's column: what mentions the organization, its customers or its people goes. Events are hints only, nothing is lost with one.
    delete from pulse.stripe_events
    where customer_id = any(customers) or exists (select from unnest(mentions) word where position(word in body) > 0);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('stripe_events', gone);
    delete from pulse.stripe_customers where customer_id = any(customers);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('stripe_customers', gone);
    update pulse.stripe_customers set problem = null where position(org::text in problem) > 0;

    asked := array(select signup_id from pulse.signups where org_id = org or email_normalized = any(emails) or lower(email) = any(emails));
    delete from pulse.idempotency_keys where signup_id = any(asked);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('idempotency_keys', gone);
    delete from messaging.sagas where saga = 'provisioning' and correlation_id = any(asked);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('sagas', gone);
    delete from pulse.signups where signup_id = any(asked);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('signups', gone);

    -- What was dead-lettered of it, or speaks of it.
    gone := pulse.erase_dead_letters(org);
    delete from pulse.dead_letters d
    where exists (
        select from unnest(mentions) word
        where position(word in d.body) > 0
           or position(convert_from(word, 'UTF8') in concat_ws(' ', d.headers::text, d.exception_message, d.stack)) > 0);
    get diagnostics more = row_count;
    counts := counts || jsonb_build_object('dead_letters', gone + more);

    -- A command that is still on its way finds its row, without what it was about, and is refused: there is no such organization.
    update pulse.operations set org_id = null, request = '{}' where org_id = org and status = 'pending';
    delete from pulse.operations
    where org_id = org or status <> 'pending' and exists (
        select from unnest(emails || org::text) word where position(word in lower(request::text || coalesce(result::text, '') || coalesce(problem_detail, ''))) > 0);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('operations', gone);

    delete from pulse.memberships where org_id = org;
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('memberships', gone);
    delete from pulse.users where user_id = any(owners);
    get diagnostics gone = row_count;
    counts := counts || jsonb_build_object('users', gone);

    -- And every other table that has its id.
    for one in
        select c.table_name from pulse.org_tables c
        where c.table_name not in ('audit_log', 'tombstones', 'purges', 'organizations', 'stripe_customers', 'signups', 'operations', 'memberships', 'dead_letters')
        order by c.table_name
    loop
        execute format('delete from pulse.%I where org_id = $1', one.table_name) using org;
        get diagnostics gone = row_count;
        counts := counts || jsonb_build_object(one.table_name, gone);
    end loop;

    delete from pulse.organizations where org_id = org;
    counts := counts || jsonb_build_object('organizations', 1);
end $$;

-- Stripe goes on telling of its customers after the purge: each sweep forgets what it told.
create index stripe_customers_purged on pulse.stripe_customers (customer_id) where problem = 'purged';
create function pulse.forget_purged() returns bigint language sql as $$
    with strays as (
        delete from pulse.stripe_customers where problem = 'purged' and org_id is null and dirty <= synced and lease_until is null returning customer_id),
    told as (delete from pulse.stripe_events where customer_id in (select customer_id from strays) returning event_id)
    select count(*) from strays
$$;

-- Every column that could hold an id or an email. The audit log and the tombstones are to stay, and a purge is gone with its tombstone.
create view pulse.residue_columns as
select n.nspname::text as schema, c.relname::text as place, a.attname::text as name, a.atttypid::regtype::text as type
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('pulse', 'messaging') and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
  and (n.nspname, c.relname) not in (('pulse', 'audit_log'), ('pulse', 'tombstones'), ('pulse', 'purges'))
  and a.atttypid <> all (array['bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'interval', 'date', 'time', 'timetz', 'timestamp', 'timestamptz']::regtype[]);

-- Where any of these ids or emails is left: the whole database is read, each table once for all of them. An email counts wherever its letters
-- stand. Many statements, each of which takes longer to compile than to run.
create function pulse.residue(orgs uuid[], emails text[]) returns table (place text, word text, found bigint) language plpgsql stable set jit = off as $$
declare
    one record;
    ids text[] := array(select unnest(orgs)::text);
    escaped text[] := array(select encode(convert_to(e, 'UTF8'), 'escape') from unnest(emails) e);
    wanted text;
begin
    for one in
        select r.schema, r.place,
            string_agg(format('select %L, t.%I::text, count(*) from %I.%I t where t.%I = any($1) group by 2', r.place || '.' || r.name, r.name, r.schema, r.place, r.name), ' union all ')
                filter (where r.type = 'uuid') as ids,
            string_agg(format(case r.type when 'bytea' then '(%L, lower(encode(t.%I, ''escape'')), $4)' else '(%L, lower(t.%I::text), $3)' end, r.place || '.' || r.name, r.name), ', ')
                filter (where r.type <> 'uuid') as texts
        from pulse.residue_columns r group by r.schema, r.place
    loop
        -- An id is taken out and compared, which costs the same for one and for hundreds; most texts have no @, and no email.
        wanted := concat_ws(' union all ', one.ids, case when one.texts is not null then format($q$
            select v.place, n.word, count(*)
            from %I.%I t
            cross join lateral (values %s) v (place, said, written)
            cross join lateral (
                select m[1] as word from regexp_matches(v.said, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') m where m[1] = any($5)
                union
                select e.word from unnest($2, v.written) e (word, written) where position('@' in v.said) > 0 and position(e.written in v.said) > 0) n
            group by 1, 2 $q$, one.schema, one.place, one.texts) end);
        return query execute wanted using orgs, emails, emails, escaped, ids;
    end loop;
end $$;

revoke all on function pulse.purge_rows, pulse.export_rows, pulse.residue, pulse.reaper_due, pulse.purge_waits_for, pulse.forget_purged from public;

-- What ingress shows of a purge: that one has begun, and the certificate.
create view pulse.tombstones_v1 as
select org_id, purge_id, requested_at, started_at, purged_at, export_sha256, export_bytes, counts, residue_columns, residue_rows, audit_seq from pulse.tombstones;
create or replace view pulse.organizations_v1 as
select o.org_id, o.name, o.status, o.is_default, u.email as owner_email, o.created_at,
    o.suspended_at, o.suspend_reason, o.deletion_requested_at, o.retention_days, o.purge_after, o.legal_hold_at, o.legal_hold_reason,
    o.purge_started_at
from pulse.organizations o
left join lateral (
    select u.email from pulse.memberships m join pulse.users u using (user_id)
    where m.org_id = o.org_id and m.role = 'owner'
    order by m.created_at, u.user_id limit 1) u on true;
grant select on pulse.tombstones_v1 to pulse_ingress;
grant execute on function pulse.reaper_list, pulse.reaper_hash to pulse_ingress;
