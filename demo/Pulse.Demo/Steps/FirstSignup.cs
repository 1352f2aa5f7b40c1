using System.Net;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Pulse.Demo;

/// <summary>One signup from the outside in: answer, message, saga, rows, metrics.</summary>
sealed class FirstSignup(Surroundings surroundings)
{
    const string Password = "a-password-that-must-not-travel";
    static readonly JsonSerializerOptions AsItIs = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    static readonly TimeSpan TrialLength = TimeSpan.FromDays(14);

    readonly SignupApi _api = new(surroundings);
    double _signups;
    double _provisions;
    BrokerTap? _tap;

    public string Email { get; } = SignupApi.SomeEmail();
    public string OrgName { get; } = $"Demo {Guid.NewGuid():n}"[..20];
    public Guid SignupId { get; private set; }
    public Guid OrgId { get; private set; }
    public Answer? Answer { get; private set; }

    public async Task IsAccepted(Observations step)
    {
        _signups = await Signups() ?? 0;
        _provisions = await Provisions() ?? 0;
        _tap = await BrokerTap.Open(surroundings.RabbitMq);

        Answer = await _api.SignUp(Email, OrgName, Password);
        step.Check(Answer.Status == HttpStatusCode.Accepted, $"POST /api/public/signup answers {(int)Answer.Status} {Answer.Body}");
        SignupId = Answer.SignupId;
        step.Check(Answer.Shape == "signup_id, status, status_url" && Answer.Text("status") == "accepted", "the answer has signup_id, status accepted and status_url");
        step.Check(Answer.RetryAfter is not null, $"and says when to look again: Retry-After {Answer.RetryAfter}");
    }

    public async Task IsOnTheBroker(Observations step)
    {
        await using var tap = _tap!;
        var (envelope, bytes) = await tap.MessageOf(SignupId, TimeSpan.FromSeconds(15));
        var types = envelope["messageType"]?.AsArray().Select(type => (string?)type) ?? [];
        step.Check(types.Contains(BrokerTap.MessageType), $"a queue bound to {BrokerTap.Exchange} got {BrokerTap.MessageType}");
        step.Check(true, $"of signup {SignupId}: {envelope["message"]?.ToJsonString(AsItIs)}");
        step.Check(!bytes.Contains(Email, StringComparison.OrdinalIgnoreCase) && !bytes.Contains(Password, StringComparison.Ordinal) && !bytes.Contains(OrgName, StringComparison.Ordinal),
            $"its {bytes.Length} bytes have neither the email nor the password nor the organization's name");
    }

    public async Task IsProvisioned(Observations step)
    {
        var (seen, last) = await _api.Follow(SignupId, "provisioned", TimeSpan.FromSeconds(30));
        step.Check(Guid.TryParse(last.Text("org_id"), out var orgId), $"GET {Answer!.Text("status_url")} says {string.Join(" → ", seen)}: {last.Body}");
        OrgId = orgId;

        var saga = await Poll.Until("the saga in state Provisioned", TimeSpan.FromSeconds(10), async () =>
            await TenantRows.FindSaga(surroundings.Postgres, SignupId) is { CurrentState: "Provisioned" } row ? row : null);
        step.Check(true, $"messaging.sagas has provisioning {SignupId} in state {saga.CurrentState}, version {saga.Version}");
        step.Note(saga.Body);
    }

    public async Task HasItsRows(Observations step)
    {
        var rows = await TenantRows.Find(surroundings.Postgres, OrgId);
        step.Check(rows.Count == 1, $"organization {OrgId} has {rows.Count} member");
        var tenant = rows[0];
        step.Check(tenant.OrgName == OrgName && tenant.OrgStatus == "active", $"pulse.organizations: {tenant.OrgName}, {tenant.OrgStatus}");
        step.Check(tenant.Email == Email && tenant.Role == "owner", $"pulse.users and memberships: {tenant.Email}, {tenant.Role}");
        step.Check(tenant.SubscriptionState == "trial", $"pulse.billing_states: {tenant.SubscriptionState}");
        step.Check(tenant.TrialEndsAt - tenant.CreatedAt == TrialLength, $"the trial ends {(tenant.TrialEndsAt - tenant.CreatedAt).TotalDays} days after the organization began: {tenant.TrialEndsAt:u}");
    }

    public async Task MovedTheMetrics(Observations step)
    {
        await Moved(step, "ingress pulse_hosted_signups_total", _signups, Signups);
        await Moved(step, "worker pulse_hosted_provisions_total{status=\"success\"}", _provisions, Provisions);

        var agreed = await Poll.Until("pulse_hosted_active_tenants equal to the count of active organizations", TimeSpan.FromSeconds(45), async () =>
        {
            var counted = (await TenantRows.Count(surroundings.Postgres)).ActiveTenants;
            var metrics = await Metrics.Read(surroundings, surroundings.Worker);
            return metrics.Value("pulse_hosted_active_tenants") is { } gauge && (long)gauge == counted && counted > 0 ? $"{gauge}" : null;
        });
        step.Check(true, $"worker pulse_hosted_active_tenants is {agreed}, as counted in the database");
    }

    static async Task Moved(Observations step, string name, double before, Func<Task<double?>> read)
    {
        var after = await Poll.Until($"{name} above {before}", TimeSpan.FromSeconds(10), async () =>
            await read() is { } value && value >= before + 1 ? $"{value}" : null);
        step.Check(true, $"{name}: {before} → {after}");
    }

    async Task<double?> Signups() =>
        (await Metrics.Read(surroundings, surroundings.Ingress)).Value("pulse_hosted_signups_total");

    async Task<double?> Provisions() =>
        (await Metrics.Read(surroundings, surroundings.Worker)).Value("pulse_hosted_provisions_total", "status=\"success\"");
}
