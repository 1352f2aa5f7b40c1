create schema pulse;

-- What the public asked for. Personal data is here until the signup has ended, and in users and organizations from then on.
create table pulse.signups (
    signup_id        uuid        not null primary key,
    email            text        null,
    email_normalized text        null,
    org_name         text        null,
    password_hash    text        null,
    status           text        not null check (status in
                     ('accepted', 'awaiting_verification', 'provisioning', 'provisioned', 'existing', 'failed')),
    org_id           uuid        null,
    -- How often the sweep has driven it on.
    attempts         integer     not null default 0,
    accepted_at      timestamptz not null,
    updated_at       timestamptz not null
);

-- For the sweep that looks for signups without an end: holds only those.
create index signups_unfinished on pulse.signups (updated_at)
    where status in ('accepted', 'awaiting_verification', 'provisioning');

-- The first answer to each Idempotency-Key. The key itself is not kept, nor anything that a password could be guessed from:
-- the fingerprint of the body is an HMAC with the key.
create table pulse.idempotency_keys (
    key_hash    bytea       not null primary key,
    fingerprint bytea       not null,
    signup_id   uuid        not null,
    created_at  timestamptz not null
);
create index idempotency_keys_created_at on pulse.idempotency_keys using brin (created_at);

-- Sliding windows: the times of the hits that still count, for the hash of an address.
create table pulse.throttles (
    key_hash   bytea         not null primary key,
    hits       timestamptz[] not null,
    expires_at timestamptz   not null
) with (fillfactor = 80);
create index throttles_expires_at on pulse.throttles using brin (expires_at);

create table pulse.organizations (
    org_id     uuid        not null primary key,
    name       text        not null,
    status     text        not null check (status in ('active', 'suspended', 'pending_deletion')),
    is_default boolean     not null default false,
    created_at timestamptz not null
);
create unique index organizations_default on pulse.organizations (is_default) where is_default;
-- For the gauge of active tenants.
create index organizations_active on pulse.organizations (org_id) where status = 'active' and not is_default;

create table pulse.users (
    user_id          uuid        not null primary key,
    email            text        not null,
    email_normalized text        not null unique,
    password_hash    text        null,
    created_at       timestamptz not null
);

create table pulse.memberships (
    org_id     uuid        not null references pulse.organizations,
    user_id    uuid        not null references pulse.users,
    role       text        not null check (role in ('owner', 'admin', 'editor', 'viewer')),
    created_at timestamptz not null,
    primary key (org_id, user_id)
);
create index memberships_user on pulse.memberships (user_id);

create table pulse.billing_states (
    org_id             uuid        not null primary key references pulse.organizations,
    subscription_state text        not null check (subscription_state in ('trial', 'active', 'grace', 'expired', 'suspended')),
    plan_version       text        not null,
    trial_ends_at      timestamptz null,
    version            bigint      not null default 1,
    updated_at         timestamptz not null
);

-- The platform's own organization: no billing, no limits, no owner.
insert into pulse.organizations (org_id, name, status, is_default, created_at)
values ('00000000-0000-7000-8000-000000000000', 'default', 'active', true, now());

-- What the status endpoint may see: no personal data, and no organization for an email that was known.
create view pulse.signup_status_v1 as
select signup_id, status, case when status = 'provisioned' then org_id end as org_id
from pulse.signups;

-- The role of the only process that the internet reaches: it can store what was asked, and read what its endpoints serve.
do $$
begin
    if not exists (select from pg_roles where rolname = 'pulse_ingress') then
        raise exception 'The role pulse_ingress is missing. Create it first, as deploy/postgres/roles.sql does.';
    end if;
end $$;
grant usage on schema pulse, messaging to pulse_ingress;
grant insert on pulse.signups to pulse_ingress;
grant select on pulse.signup_status_v1 to pulse_ingress;
grant select, insert on pulse.idempotency_keys to pulse_ingress;
grant select, insert, update on pulse.throttles to pulse_ingress;
grant insert on messaging.outbox to pulse_ingress;
