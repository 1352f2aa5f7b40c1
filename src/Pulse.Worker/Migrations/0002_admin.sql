-- Keys of operators and of the platform's own services: pulse_<key_id>_<secret>. Of the secret, 256 random bits, only the hash is kept.
create table pulse.admin_keys (
    key_id      text        not null primary key,
    secret_hash bytea       not null,
    name        text        not null,
    scopes      text[]      not null,
    created_at  timestamptz not null,
    expires_at  timestamptz null,
    revoked_at  timestamptz null
);

-- What an operator asked for over HTTP, and what became of it. The message to the worker carries the operation's id only: the
-- request may hold what people wrote.
create table pulse.operations (
    operation_id uuid        not null primary key,
    kind         text        not null,
    org_id       uuid        null,
    request      jsonb       not null,
    actor        text        not null,
    status       text        not null default 'pending' check (status in ('pending', 'succeeded', 'refused')),
    -- Of a refusal: the problem's code and detail, as the HTTP answer has them.
    problem_status integer   null,
    problem_code   text      null,
    problem_detail text      null,
    result       jsonb       null,
    requested_at timestamptz not null,
    completed_at timestamptz null
);
create index operations_requested_at on pulse.operations using brin (requested_at);

-- Who changed what. Appended to by pulse.append_audit() only, and never changed: each row's hash covers the row and the hash
-- before it, so that a row that is altered, dropped, put in or moved shows. What is cut off the end shows against the checkpoints
-- that the worker signs and keeps outside this database.
create table pulse.audit_log (
    -- Without gaps.
    seq           bigint      not null primary key,
    at            timestamptz not null,
    actor         text        not null,
    action        text        not null,
    org_id        uuid        null,
    before        jsonb       null,
    after         jsonb       null,
    -- The operation, message or event that brought it about.
    cause         text        null,
    -- Of the first: 32 bytes of zero.
    previous_hash bytea       not null,
    hash          bytea       not null
);
create index audit_log_org on pulse.audit_log (org_id, seq);

create function pulse.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % is not allowed: it is append-only', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_append_only before update or delete or truncate on pulse.audit_log
    for each statement execute function pulse.refuse_change();
revoke update, delete, truncate on pulse.audit_log from current_user;

-- A text as hashed: its length in bytes (32 bit, big endian) and its UTF-8; a missing one is the length -1.
create function pulse.audit_field(value text) returns bytea language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when value is null then '\xffffffff'::bytea else int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8') end
$$;

-- SHA-256 over the previous hash, seq and microseconds since 1970 (64 bit, big endian), and the fields in their order.
create function pulse.audit_hash(previous bytea, seq bigint, at timestamptz, actor text, action text, org_id uuid, before jsonb, after jsonb, cause text)
returns bytea language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
    select sha256(previous || int8send(seq) || int8send((extract(epoch from at) * 1000000)::bigint)
        || pulse.audit_field(actor) || pulse.audit_field(action) || pulse.audit_field(org_id::text)
        || pulse.audit_field(before::text) || pulse.audit_field(after::text) || pulse.audit_field(cause))
$$;

-- One place that writes the audit log, for every slice and both processes. One transaction at a time: the lock is held until it ends,
-- so call it last. Whoever takes another lock behind it may wait in a circle.
create function pulse.append_audit(at timestamptz, actor text, action text, org_id uuid, before jsonb, after jsonb, cause text)
returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    last_seq bigint;
    last_hash bytea;
begin
    perform pg_advisory_xact_lock(5711900611840364404);
    -- A statement of its own, so that it sees what the last holder of the lock committed.
    select l.seq, l.hash into last_seq, last_hash from pulse.audit_log l order by l.seq desc limit 1;
    last_seq := coalesce(last_seq, 0) + 1;
    last_hash := coalesce(last_hash, decode(repeat('00', 32), 'hex'));
    insert into pulse.audit_log (seq, at, actor, action, org_id, before, after, cause, previous_hash, hash)
    values (last_seq, $1, $2, $3, $4, $5, $6, $7, last_hash, pulse.audit_hash(last_hash, last_seq, $1, $2, $3, $4, $5, $6, $7));
    return last_seq;
end $$;
revoke all on function pulse.append_audit from public;

-- What operators see of an organization. The platform's own is addressed as 'default'.
create view pulse.organizations_v1 as
select o.org_id, o.name, o.status, o.is_default, u.email as owner_email, o.created_at
from pulse.organizations o
left join lateral (
    select u.email from pulse.memberships m join pulse.users u using (user_id)
    where m.org_id = o.org_id and m.role = 'owner'
    order by m.created_at, u.user_id limit 1) u on true;

create index organizations_created_at on pulse.organizations (created_at, org_id);
-- Most are active: these are the ones that somebody looks for by their status.
create index organizations_not_active on pulse.organizations (status, created_at, org_id) where status <> 'active';

-- What an organization is looked for by: the beginning of its name, or of its owner's email. Read in the order of an index each, so
-- that a page costs a page, however many there are and however many of them match. By bytes, whatever the database's collation.
create index organizations_name on pulse.organizations ((lower(name) collate "C"), org_id);
create index users_email on pulse.users ((email_normalized collate "C"));
create view pulse.organization_names_v1 as
select lower(name) collate "C" as key, org_id, status from pulse.organizations;
create view pulse.organization_owners_v1 as
select u.email_normalized collate "C" as key, m.org_id, u.email
from pulse.users u join pulse.memberships m using (user_id) where m.role = 'owner';

grant select (key_id, secret_hash, scopes, expires_at, revoked_at) on pulse.admin_keys to pulse_ingress;
grant select, insert on pulse.operations to pulse_ingress;
grant select on pulse.organizations_v1, pulse.organization_names_v1, pulse.organization_owners_v1, pulse.audit_log to pulse_ingress;
