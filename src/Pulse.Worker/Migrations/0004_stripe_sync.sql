-- How fast Pulse may ask Stripe, all workers together: the moment from which the next request is free. One row.
create table pulse.stripe_rate (
    only_row boolean     not null primary key default true check (only_row),
    next_at  timestamptz not null
);
insert into pulse.stripe_rate (next_at) values ('-infinity');

-- How far Stripe's list of events has been compared with the inbox. One row.
create table pulse.stripe_reconciliation (
    only_row     boolean     not null primary key default true check (only_row),
    -- Null: never.
    polled_at    timestamptz null,
    -- Customers fetched before it are due, however recent it is: after a gap that Stripe's list of events no longer covers.
    sweep_before timestamptz null
);
insert into pulse.stripe_reconciliation default values;

alter table pulse.stripe_customers
    -- When it was last marked.
    add column dirty_at timestamptz null,
    -- A timer with its SyncStripeCustomer is in the outbox until then: the next one that needs a timer as late as this needs none.
    add column timer_at timestamptz null,
    -- Marked by reconciliation, not by an event that came by itself: what a difference is to be counted as.
    add column suspect  text        null check (suspect in ('webhook_missing', 'handler_failed'));

alter table pulse.stripe_events
    add column source      text        not null default 'webhook' check (source in ('webhook', 'reconciliation')),
    -- When reconciliation found it not completed and had it handled again.
    add column redriven_at timestamptz null,
    -- How often Stripe could not say whose it is, and when it is asked again.
    add column attempts    integer     not null default 0,
    add column next_at     timestamptz null;

-- The thin twins, which are few: the twin of a snapshot event is looked for here.
create index stripe_events_twins on pulse.stripe_events (effect_id) where effect_id <> event_id;
create index stripe_events_unhandled on pulse.stripe_events (received_at) where status in ('received', 'pending');
