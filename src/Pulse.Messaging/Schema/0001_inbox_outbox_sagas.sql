create schema if not exists messaging;

-- One row per message that a consumer is done with. Written in the transaction of the consumer's own effects.
create table messaging.inbox (
    message_id  uuid        not null,
    consumer_id text        not null,
    consumed_at timestamptz not null,
    primary key (message_id, consumer_id)
);

-- For the pruner. Rows arrive in time order, so a block range index finds the old ones and costs next to nothing per insert.
create index inbox_consumed_at on messaging.inbox using brin (consumed_at) with (pages_per_range = 32, autosummarize = on);

-- Messages on their way to the broker, and timers: a timer is a row that is not yet due.
create table messaging.outbox (
    id           uuid        not null primary key,
    -- The AMQP message id. Stays the same over every publish of this row, so that a consumer's inbox absorbs a repeat.
    message_id   uuid        not null,
    exchange     text        not null,
    routing_key  text        not null,
    content_type text        not null,
    headers      jsonb       null,
    body         bytea       not null,
    -- When the message became, or becomes, due.
    due_at       timestamptz not null,
    -- When a relay may take it next: '-infinity' is at once, whatever the clocks of two machines say.
    relay_at     timestamptz not null,
    -- A message that is late beyond use is dropped, not published.
    expires_at   timestamptz null,
    attempts     integer     not null default 0,
    last_error   text        null,
    -- What a timer is cancelled by.
    token        uuid        null
);

create index outbox_relay_at on messaging.outbox (relay_at);
create unique index outbox_token on messaging.outbox (token) where token is not null;

-- A queue in a table is small when it is vacuumed and huge when it isn't.
alter table messaging.outbox set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
                                  autovacuum_vacuum_cost_delay = 0);

create table messaging.sagas (
    saga           text        not null,
    correlation_id uuid        not null,
    current_state  text        not null,
    version        integer     not null,
    body           jsonb       not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    primary key (saga, correlation_id)
) with (fillfactor = 80);
