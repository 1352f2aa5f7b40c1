-- Who is signed in to the console. The cookie's secret is not here, only its hash; nor is the key, only its id.
create table pulse.console_sessions (
    session_hash bytea       not null primary key,
    key_id       text        not null references pulse.admin_keys,
    began_at     timestamptz not null,
    expires_at   timestamptz not null
);
create index console_sessions_expires_at on pulse.console_sessions (expires_at);

-- What the worker found when it last looked at its invariants: for those who can't look themselves.
create table pulse.invariant_findings (
    invariant  text        not null primary key,
    promise    text        not null,
    what_to_do text        not null,
    violations bigint      not null,
    looked_at  timestamptz not null
);

-- How much waits to be brought to the broker. Nothing of a message.
create view pulse.outbox_due_v1 as select due_at, attempts from messaging.outbox;

grant select, insert, delete on pulse.console_sessions to pulse_ingress;
grant select on pulse.invariant_findings, pulse.outbox_due_v1 to pulse_ingress;
