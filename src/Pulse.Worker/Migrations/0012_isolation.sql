-- The role that answers questions of tenants: may this user do this in this organization? It owns nothing, can't log in, and row-level
-- security shows it the rows of one organization, the one that its transaction names. Ingress becomes it for a transaction, and has none
-- of its rights otherwise.
do $$
begin
    if not exists (select from pg_roles where rolname = 'pulse_tenant') then
        raise exception 'The role pulse_tenant is missing. Run deploy/postgres/roles.sql once more, as a superuser.';
    elsif not pg_has_role('pulse_ingress', 'pulse_tenant', 'member') or pg_has_role('pulse_ingress', 'pulse_tenant', 'usage') then
        raise exception 'The role pulse_ingress must be a member of pulse_tenant without inheriting from it. Run deploy/postgres/roles.sql once more, as a superuser.';
    end if;
end $$;

-- Whose transaction it is: set_config('pulse.org_id', …, true). Null when it was not said, and then no row is anybody's. Empty is what a
-- setting of a transaction leaves behind in its session.
create function pulse.tenant() returns uuid language sql stable parallel safe as $$
    select nullif(current_setting('pulse.org_id', true), '')::uuid
$$;

-- Puts a table behind row-level security, for its owner too. The platform's own roles see all of it, as far as their grants go; a tenant
-- sees what the condition says, or nothing at all when there is none. Every table with an organization in it needs this: a test looks for
-- those that were forgotten. Call it at the end of the migration that makes the table.
create function pulse.isolate(target regclass, tenant text default 'org_id = pulse.tenant()') returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('create policy platform on %s to %I, pulse_ingress using (true) with check (true)', target, current_user);
    if tenant is not null then
        execute format('create policy tenant on %s to pulse_tenant using (%s) with check (%2$s)', target, tenant);
    end if;
end $$;
revoke all on function pulse.isolate from public;

do $$
declare
    target regclass;
begin
    for target in
        select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
        where n.nspname in ('pulse', 'messaging') and c.relkind in ('r', 'p') and a.attname = 'org_id' and not a.attisdropped
    loop
        perform pulse.isolate(target);
    end loop;
end $$;

-- Without an organization of their own.
select pulse.isolate('pulse.users', 'exists (select from pulse.memberships m where m.user_id = users.user_id and m.org_id = pulse.tenant())');
select pulse.isolate('pulse.stripe_events', null);

grant usage on schema pulse to pulse_tenant;
grant select (org_id, user_id, role) on pulse.memberships to pulse_tenant;
