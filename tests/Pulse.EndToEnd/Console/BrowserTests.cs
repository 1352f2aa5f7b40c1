using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.Console;

/// <summary>The console in a real browser, in front of everything that runs. A page that complains fails its test.</summary>
public abstract partial class BrowserTests(RunningPulse pulse, Chromium chromium) : RunningPulseTests(pulse), IClassFixture<Chromium>
{
    protected const string Planted = "sk_live_51HxPlanted9f3aQ7";

    readonly List<string> _complaints = [];

    protected Chromium Chromium => chromium;

    /// <summary>What the browser's console said, refused by the policy or failed in a script. An answer that is refused on purpose is none.</summary>
    protected IReadOnlyList<string> Complaints => _complaints;

    protected async Task<IPage> NewPageAsync(bool script = true, bool dark = false, int width = 1280, int height = 900)
    {
        var context = await chromium.NewAsync(Pulse.Ingress, script, dark, width, height);
        context.SetDefaultTimeout(20_000);
        var page = await context.NewPageAsync();
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning" && !message.Text.Contains("the server responded with a status of 4", StringComparison.Ordinal)
                && !message.Text.Contains("the server responded with a status of 503", StringComparison.Ordinal))
                _complaints.Add($"{page.Url}: {message.Text}");
        };
        page.PageError += (_, error) => _complaints.Add($"{page.Url}: {error}");
        page.Request += (_, request) =>
        {
            if (!request.Url.StartsWith(Pulse.Ingress.ToString(), StringComparison.Ordinal))
                _complaints.Add($"{page.Url} asks for {request.Url}");
        };
        return page;
    }

    protected async Task<IPage> SignedInAsync(string? key = null, bool script = true, bool dark = false, int width = 1280, int height = 900)
    {
        var page = await NewPageAsync(script, dark, width, height);
        await page.GotoAsync("/console");
        await page.GetByLabel("Admin key").FillAsync(key ?? Pulse["PULSE_ADMIN_KEY"]);
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Health" })).ToBeVisibleAsync();
        return page;
    }

    protected static Task<IResponse?> GoAsync(IPage page, string path) => page.GotoAsync(path);

    protected static ILocator Button(IPage page, string name) => page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    protected static ILocator Link(IPage page, string name) => page.GetByRole(AriaRole.Link, new() { Name = name, Exact = true });

    protected static ILocatorAssertions Heading(IPage page, string name) => Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = name, Level = 1 }));

    protected async Task<Guid> TenantAsync(string? name = null) =>
        (await Pulse.EndsAsync(await Pulse.AcceptedAsync(name is null ? Some.Signup : Some.Signup with { OrgName = name }), "provisioned"))!.Value;

    protected async Task<string> KeyAsync(params string[] scopes) => (await Pulse.ScriptAsync("admin-key", "create", "--scopes", string.Join(',', scopes))).Trim();

    /// <summary>
    /// Sends the worker a command to suspend an organization, of which nobody has stored the operation: hopeless, so it is dead-lettered at once.
    /// <see cref="MendAsync"/> puts right why.
    /// </summary>
    /// <returns>The operation, and the dead letter.</returns>
    protected async Task<(Guid Operation, Guid Letter)> PoisonAsync(Guid org)
    {
        var (operation, message) = (Guid.CreateVersion7(), Guid.NewGuid());
        var envelope = new
        {
            messageId = message,
            messageType = new[] { "urn:message:Pulse.Contracts.Lifecycle:SuspendOrganization" },
            message = new { operationId = operation, orgId = org, acceptedAt = DateTimeOffset.UtcNow, note = $"call ada@example.com, {Planted}" },
            headers = new { },
        };
        await using var connection = await new ConnectionFactory { Uri = new Uri(Pulse["PULSE_RABBITMQ"]) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.BasicPublishAsync("", "lifecycle", mandatory: true, new BasicProperties
        {
            MessageId = message.ToString(),
            ContentType = "application/vnd.masstransit+json",
            DeliveryMode = DeliveryModes.Persistent,
            Headers = new Dictionary<string, object?> { ["X-Api-Key"] = Planted },
        }, Encoding.UTF8.GetBytes(JsonSerializer.Serialize(envelope)));

        const string sql = "select coalesce((select dead_letter_id from pulse.dead_letters where message_id = $1), '00000000-0000-0000-0000-000000000000')";
        await Eventually.Until(async () => await Pulse.AskAsync<Guid>(sql, message) != Guid.Empty, TimeSpan.FromSeconds(60), "the message is a dead letter");
        return (operation, await Pulse.AskAsync<Guid>(sql, message));
    }

    protected Task MendAsync(Guid operation, Guid org) => Pulse.RunSqlAsync("""
        insert into pulse.operations (operation_id, kind, org_id, request, actor, requested_at) values ($1, 'lifecycle.suspend', $2, '{"reason":"replayed"}', 'key:test', now())
        """, operation, org);

    protected Task<string> StatusAsync(Guid letter) => Pulse.AskAsync<string>("select status from pulse.dead_letters where dead_letter_id = $1", letter);

    /// <summary>Replays that ended so, as the worker has counted them since it was started.</summary>
    protected async Task<double> EndedAsync(string outcome) =>
        await Pulse.MetricAsync(Pulse.Worker, $"pulse_replays_total{{outcome=\"{outcome}\"}}") ?? throw new InvalidOperationException($"Replays that are {outcome} are not counted.");

    /// <summary>Waits for one more: it is counted behind its commit. One that another test has left running may end meanwhile.</summary>
    protected Task OneMoreEndedAsync(string outcome, double before) =>
        Eventually.Until(async () => await EndedAsync(outcome) > before, TimeSpan.FromSeconds(20), $"the replay is counted as {outcome}, beside {before}");

    [GeneratedRegex("[0-9a-f-]{36}")]
    protected static partial Regex Id();
}
