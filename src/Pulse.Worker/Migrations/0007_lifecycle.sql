alter table pulse.organizations
    add column suspended_at          timestamptz null,
    add column suspend_reason        text        null,
    add column deletion_requested_at timestamptz null,
    add column retention_days        integer     null check (retention_days between 1 and 3650),
    -- When its retention is over. Not before, whatever else.
    add column purge_after           timestamptz null,
    -- What restore brings back.
    add column status_before_deletion text       null check (status_before_deletion in ('active', 'suspended')),
    -- From here on nothing brings it back.
    add column purge_started_at      timestamptz null,
    add column legal_hold_at         timestamptz null,
    add column legal_hold_reason     text        null,
    add column legal_hold_by         text        null,
    add constraint organizations_purge_started check (purge_started_at is null or status = 'pending_deletion'),
    add constraint organizations_default_stays check (not is_default or status = 'active');

-- For the reaper: those whose time comes next.
create index organizations_purge_after on pulse.organizations (purge_after) where status = 'pending_deletion';

-- The backstop: a path that forgot to ask can't delete.
create function pulse.refuse_deletion() returns trigger language plpgsql as $$
begin
    if old.is_default then
        raise exception 'The platform''s own organization can''t be deleted' using errcode = 'restrict_violation';
    elsif old.legal_hold_at is not null then
        raise exception 'Organization % is under legal hold', old.org_id using errcode = 'restrict_violation';
    elsif old.purge_started_at is null then
        raise exception 'Organization % is not being purged', old.org_id using errcode = 'restrict_violation';
    end if;
    return old;
end $$;
create trigger organizations_deletion before delete on pulse.organizations for each row execute function pulse.refuse_deletion();

create or replace view pulse.organizations_v1 as
select o.org_id, o.name, o.status, o.is_default, u.email as owner_email, o.created_at,
    o.suspended_at, o.suspend_reason, o.deletion_requested_at, o.retention_days, o.purge_after, o.legal_hold_at, o.legal_hold_reason
from pulse.organizations o
left join lateral (
    select u.email from pulse.memberships m join pulse.users u using (user_id)
    where m.org_id = o.org_id and m.role = 'owner'
    order by m.created_at, u.user_id limit 1) u on true;
