-- Stripe's events as they came. A hint that something changed, never the truth: that is Stripe's API.
create table pulse.stripe_events (
    event_id    text        not null primary key,
    -- What it counts under once: the thin twin of a snapshot event names that event here.
    effect_id   text        not null,
    type        text        not null,
    livemode    boolean     null,
    api_version text        null,
    -- Stripe's clock, whole seconds. Shown, never compared.
    created_at  timestamptz null,
    -- lz4: at 4.6 kB pglz costs Postgres more than all the rest of the insert.
    body        bytea       compression lz4 not null,
    -- received → pending (its customer is marked) → applied (a fetch that began later is stored);
    -- parked: its customer has no organization yet; ignored: of no interest here; quarantined: its customer claims two organizations.
    status      text        not null default 'received'
                check (status in ('received', 'pending', 'applied', 'parked', 'ignored', 'quarantined')),
    customer_id text        null,
    -- The customer's dirty count after this event's mark: a sync of that count or later has seen it.
    mark        bigint      null,
    received_at timestamptz not null,
    completed_at timestamptz null
);
create index stripe_events_open on pulse.stripe_events (customer_id, mark) where status in ('pending', 'parked', 'quarantined');
create index stripe_events_customer on pulse.stripe_events (customer_id, received_at);
create index stripe_events_received_at on pulse.stripe_events using brin (received_at);

-- One row for each Stripe customer: whose it is, what was last fetched, and whether something changed since.
create table pulse.stripe_customers (
    customer_id  text        not null primary key,
    -- The link. Once set, it stays.
    org_id       uuid        null references pulse.organizations,
    linked_at    timestamptz null,
    linked_by    text        null check (linked_by in ('metadata', 'client_reference_id', 'operator')),
    -- Every event counts dirty up; a fetch that began at a count has seen everything up to it.
    dirty        bigint      not null default 0,
    synced       bigint      not null default 0,
    -- Who writes what it fetched must hold the latest fence.
    fence        bigint      not null default 0,
    lease_until  timestamptz null,
    -- After a failed fetch, and after a lease whose holder died.
    next_sync_at timestamptz null,
    failures     integer     not null default 0,
    -- Subscriptions, open invoices and active entitlements as fetched: Pulse.Worker.Billing.Canonical.
    canonical    jsonb       null,
    prices       text[]      not null default '{}',
    products     text[]      not null default '{}',
    fetched_at   timestamptz null,
    -- Why it is not in step: a code and an id, such as 'unknown_price price_123'.
    problem      text        null,
    created_at   timestamptz not null
);
create index stripe_customers_org on pulse.stripe_customers (org_id);
create index stripe_customers_behind on pulse.stripe_customers (customer_id) where dirty > synced;
create index stripe_customers_fetched_at on pulse.stripe_customers (fetched_at);
create index stripe_customers_prices on pulse.stripe_customers using gin (prices);
create index stripe_customers_products on pulse.stripe_customers using gin (products);

-- What operators decided over Stripe's head. Append-only: revoking sets revoked_at, once.
create table pulse.billing_overrides (
    override_id uuid        not null primary key,
    org_id      uuid        not null references pulse.organizations,
    effect      text        not null check (effect in ('deny', 'grant', 'pin')),
    -- The parts of a billing state that it sets: subscription_state, plan_version, capabilities, limits, meters_enabled, trial_ends_at, grace_until.
    state       jsonb       not null default '{}',
    reason      text        null,
    actor       text        not null,
    created_at  timestamptz not null,
    expires_at  timestamptz null,
    revoked_at  timestamptz null,
    revoked_by  text        null
);
create index billing_overrides_org on pulse.billing_overrides (org_id, created_at);

-- The plans file as the worker last read it. 'trial' is what a tenant has before it has a subscription.
create table pulse.plan_versions (
    plan_version text    not null primary key,
    capabilities text[]  not null default '{}',
    limits       jsonb   not null default '{}',
    meters       text[]  not null default '{}',
    grace_days   integer not null default 14
);
insert into pulse.plan_versions (plan_version) values ('trial');

-- Which plans file that was: of two workers with different files, the one that started last has the word.
create table pulse.plans_in_force (
    only_row  boolean     not null primary key default true check (only_row),
    hash      text        not null,
    loaded_at timestamptz not null
);

-- timeline: what the tenant may do from when on, all boundaries known today included, so that a reader decides by its own clock
-- and a late timer grants nothing. An array of segments by 'from' ascending, the first one in force already:
--   {"from","state","plan_version","capabilities":[],"limits":{},"meters_enabled":[],"trial_ends_at"?,"grace_until"?,"cancels_at"?,
--    "source":"local_trial|stripe|override","subscription_id"?,"invoice_id"?,"override_id"?,"stale"?:true,"conflict"?:true}
-- A segment of state expired or suspended has no capabilities. Null: a local trial, see entitlements_v1.
alter table pulse.billing_states
    add column timeline         jsonb       null,
    -- What is in force without any override, and what is known of each subscription: where Stripe says what Pulse doesn't know, that goes on.
    add column underlying       jsonb       null,
    -- When it was last known to be what Stripe says.
    add column verified_at      timestamptz null,
    -- When the next segment begins: the sweep announces it then.
    add column next_boundary_at timestamptz null,
    -- Which plans file it was computed with.
    add column plans_hash       text        null;
update pulse.billing_states set next_boundary_at = trial_ends_at;
create index billing_states_boundary on pulse.billing_states (next_boundary_at);
create index billing_states_plans on pulse.billing_states (plans_hash);

-- What any reader of entitlements reads, and all it reads.
create view pulse.entitlements_v1 as
select o.org_id, coalesce(b.version, 1) as version, o.status as lifecycle, o.is_default as unlimited,
    case when o.is_default then '[]'::jsonb else coalesce(b.timeline, jsonb_build_array(
        jsonb_build_object('from', o.created_at, 'state', 'trial', 'plan_version', 'trial', 'capabilities', t.capabilities,
            'limits', t.limits, 'meters_enabled', t.meters, 'trial_ends_at', l.trial_ends_at, 'source', 'local_trial'),
        jsonb_build_object('from', l.trial_ends_at, 'state', 'expired', 'plan_version', 'trial', 'capabilities', '[]'::jsonb,
            'limits', t.limits, 'meters_enabled', '[]'::jsonb, 'trial_ends_at', l.trial_ends_at, 'source', 'local_trial')))
    end as timeline,
    coalesce(b.verified_at, b.updated_at, o.created_at) as as_of
from pulse.organizations o
left join pulse.billing_states b using (org_id)
-- Fourteen days are what provisioning gives.
cross join lateral (select coalesce(b.trial_ends_at, o.created_at + interval '14 days') as trial_ends_at) l
join pulse.plan_versions t on t.plan_version = 'trial';

-- Every reader hears of every change. An insert needs no word: nobody has read what was not there.
create function pulse.announce_entitlements() returns trigger language plpgsql as $$
begin
    perform pg_notify('pulse_entitlements', json_build_object('org', new.org_id, 'version', new.version)::text);
    return null;
end $$;
create trigger billing_states_announced after update on pulse.billing_states
    for each row when (old.version <> new.version) execute function pulse.announce_entitlements();

-- A suspended or deleted organization may do nothing, from the commit of that status on.
create function pulse.organization_status_changed() returns trigger language plpgsql as $$
begin
    update pulse.billing_states set version = version + 1 where org_id = new.org_id;
    return null;
end $$;
create trigger organizations_status_announced after update of status on pulse.organizations
    for each row when (old.status <> new.status) execute function pulse.organization_status_changed();

-- What operators see of billing, beside entitlements_v1.
create view pulse.billing_overrides_v1 as
select override_id, org_id, effect, state, reason, actor, created_at, expires_at, revoked_at, revoked_by from pulse.billing_overrides;
create view pulse.stripe_customers_v1 as
select customer_id, org_id, linked_by, linked_at, dirty, synced, canonical, fetched_at, next_sync_at, failures, problem from pulse.stripe_customers;
create view pulse.stripe_events_v1 as
select event_id, type, status, customer_id, created_at, received_at, completed_at from pulse.stripe_events;

grant insert on pulse.stripe_events to pulse_ingress;
grant select (event_id, status) on pulse.stripe_events to pulse_ingress;
grant select on pulse.entitlements_v1, pulse.billing_overrides_v1, pulse.stripe_customers_v1, pulse.stripe_events_v1, pulse.plan_versions to pulse_ingress;
