using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Pulse.Testing;
using Pulse.Worker.Invariants;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>A worker and an ingress as processes of their own that tell which crash points they reach, and die where they are told to.</summary>
public sealed class Journey : IAsyncLifetime
{
    readonly TestPostgres _postgres = new();
    readonly TestBroker _broker = new();
    readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    readonly Dictionary<string, Child> _children = [];

    /// <summary>How a signup ends when nothing happens on its way.</summary>
    public string Undisturbed { get; private set; } = "";

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
        _children["worker"] = new Child("journey-worker", "Pulse.Worker", "PULSE_WORKER_URL", new(Hooked("worker"))
        {
            ["PULSE_POSTGRES"] = _postgres.WorkerAddress,
            ["PULSE_RABBITMQ"] = _broker.Address.ToString(),
        });
        _children["ingress"] = new Child("journey-ingress", "Pulse.Ingress", "PULSE_INGRESS_URL", new(Hooked("ingress"))
        {
            ["PULSE_POSTGRES"] = _postgres.IngressAddress,
            ["PULSE_HOSTED_MODE"] = "true",
            ["PULSE_TRUSTED_PROXIES"] = "127.0.0.0/8",
        });
        foreach (var child in _children.Values)
            child.Start();
        await Task.WhenAll(_children.Values.Select(child => child.ReadyAsync()));

        var signup = Some.Signup;
        var before = await CountsAsync();
        var signupId = await AcknowledgedAsync(signup);
        await Eventually.Until(
            async () => await _postgres.AskAsync<long>("select count(*) from messaging.inbox") == 2 && await _postgres.AskAsync<long>("select count(*) from messaging.outbox") == 0,
            TimeSpan.FromSeconds(30), "a signup ended undisturbed");
        Undisturbed = await EndAsync(signupId, signup, before);
    }

    public async Task DisposeAsync()
    {
        foreach (var child in _children.Values)
            await child.DisposeAsync();
        _http.Dispose();
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
    }

    /// <summary>The points that a process has reached, in the order of their first times.</summary>
    public static IReadOnlyList<string> ReachedBy(string process) => [.. File.ReadAllLines(Points(process)).Distinct()];

    /// <summary>A signup on whose way the process dies at the point, and is started again.</summary>
    /// <returns>How it ended, in the words of <see cref="Undisturbed"/>.</returns>
    public async Task<string> DieAsync(string process, string point)
    {
        var signup = Some.Signup;
        var before = await CountsAsync();
        await File.WriteAllTextAsync(Deadly(process), point);
        var acknowledging = AcknowledgedAsync(signup);
        try
        {
            await _children[process].DiedAsync();
        }
        finally
        {
            File.Delete(Deadly(process));
        }

        _children[process].Start();

        var signupId = await acknowledging;
        var end = "";
        try
        {
            await Eventually.Until(
                async () => (end = await EndAsync(signupId, signup, before)) == Undisturbed, TimeSpan.FromSeconds(60), "it ended as every other");
        }
        catch (TimeoutException)
        {
            // The caller's comparison says more.
        }

        return end;
    }

    /// <summary>What <c>./pulse doctor --at-rest</c> says.</summary>
    internal Task<DoctorReport> ExamineAsync() => Doctor.ExamineAsync(_postgres.Worker, [_broker.Address], new InvariantScope
    {
        Now = DateTimeOffset.UtcNow,
        UnfinishedAfter = TimeSpan.Zero,
        OutboxAfter = TimeSpan.Zero,
        InboxKept = TimeSpan.FromDays(44),
    });

    // All that a signup leaves behind: of it, and in the tables as a whole.
    const string EndSql = """
        select format(
            'signup %s, organization %s, owners %s, billing %s, saga %s; new: %s signups, %s organizations, %s users, %s sagas, %s consumed; outbox %s',
            s.status,
            (select status from pulse.organizations where org_id = s.org_id and name = $2),
            (select count(*) from pulse.memberships m join pulse.users u using (user_id) where m.org_id = s.org_id and m.role = 'owner' and u.email = $3),
            (select subscription_state || ' v' || version from pulse.billing_states where org_id = s.org_id),
            (select current_state || ' v' || version from messaging.sagas where correlation_id = s.signup_id),
            (select count(*) from pulse.signups) - $4,
            (select count(*) from pulse.organizations) - $5,
            (select count(*) from pulse.users) - $6,
            (select count(*) from messaging.sagas) - $7,
            (select count(*) from messaging.inbox) - $8,
            (select count(*) from messaging.outbox))
        from pulse.signups s where s.signup_id = $1
        """;

    Task<string> EndAsync(Guid signupId, SignupBody signup, long[] before) =>
        _postgres.AskAsync<string>(EndSql, [signupId, signup.OrgName!, signup.Email!, .. before.Cast<object>()]);

    Task<long[]> CountsAsync() => _postgres.AskAsync<long[]>("""
        select array[
            (select count(*) from pulse.signups), (select count(*) from pulse.organizations), (select count(*) from pulse.users),
            (select count(*) from messaging.sagas), (select count(*) from messaging.inbox)]
        """);

    /// <summary>Asks until it is acknowledged, as every client should.</summary>
    async Task<Guid> AcknowledgedAsync(SignupBody signup)
    {
        var (key, client) = (Some.Key, Some.Client);
        Guid? acknowledged = null;
        await Eventually.Until(
            async () => (acknowledged = await TryAsync(signup, key, client)) is not null, TimeSpan.FromSeconds(60), "the signup was acknowledged");
        return acknowledged!.Value;
    }

    async Task<Guid?> TryAsync(SignupBody signup, string key, string client)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_children["ingress"].Url, "/api/public/signup"))
            {
                Content = new StringContent(signup.ToJson(), Encoding.UTF8, "application/json"),
                Headers = { { "Idempotency-Key", key }, { "X-Forwarded-For", client } },
            };
            using var answer = await _http.SendAsync(request);
            Assert.Contains(answer.StatusCode, new[] { HttpStatusCode.Accepted, HttpStatusCode.Conflict, HttpStatusCode.ServiceUnavailable });
            return answer.StatusCode == HttpStatusCode.Accepted
                ? (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("signup_id").GetGuid()
                : null;
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>What a process is told so that it tells its points, and dies at the one that it is told of.</summary>
    internal static Dictionary<string, string> Hooked(string process)
    {
        File.Delete(Points(process));
        File.Delete(Deadly(process));
        return new() { ["DOTNET_STARTUP_HOOKS"] = typeof(StartupHook).Assembly.Location, [StartupHook.Variable] = Points(process) };
    }

    static string Points(string process) => Path.Combine(Child.Logs, $"journey-{process}.points");

    /// <summary>The file with the point to die at.</summary>
    internal static string Deadly(string process) => $"{Points(process)}.deadly";
}
