using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;

namespace Pulse.Ingress.Health;

/// <summary>The console's first page: is anything waiting, dead or broken, and what to do then.</summary>
static class HealthPage
{
    public const string Path = ConsolePath.Root + "/health";

    static readonly TimeSpan OutboxLate = TimeSpan.FromSeconds(30);
    static readonly TimeSpan LookLate = TimeSpan.FromMinutes(10);

    public static void AddHealth(this IServiceCollection services) => services.AddSingleton(new ConsoleSection(10, "Health", Path, null));

    public static void MapHealthPage(this IEndpointRouteBuilder routes) => routes.MapPage(Path, null, ShowAsync);

    static async Task<IResult> ShowAsync(ConsoleRequest request)
    {
        var report = await HealthTable.ReadAsync(request.Database, request.Now.UtcDateTime, request.Aborted);
        var broken = report.Invariants.Count(invariant => invariant.Violations > 0);
        var open = report.Queues.Sum(queue => queue.Open + queue.Quarantined);
        var late = report.Outbox.Oldest is { } oldest && request.Now.UtcDateTime - oldest > OutboxLate;
        return new ConsolePage(request, "Health", Html.Of($"""
            <div class="columns">
            {Outbox(request, report.Outbox, late)}
            {Letters(request, report.Queues)}
            </div>
            {Invariants(request, report.Invariants)}
            """))
        {
            Beside = broken > 0 ? Element.Badge($"{broken} invariants broken", "bad")
                : late ? Element.Badge("outbox is late", "bad")
                : open > 0 ? Element.Badge($"{Element.Number(open)} dead letters open", "warn")
                : Element.Badge("nothing to do", "good"),
        };
    }

    static Html Outbox(ConsoleRequest request, OutboxReport outbox, bool late) => Element.Section("outbox", "Outbox", Html.Of($"""
        {Element.Fields(
            ("Messages due", Html.Of($"{(outbox.Due == HealthTable.OutboxMost ? $"{Element.Number(outbox.Due)} or more" : Element.Number(outbox.Due))} {Element.Badge(late ? "late" : "drains", late ? "bad" : "good")}")),
            ("The oldest is due since", outbox.Oldest is null ? Html.Of($"nothing waits") : Element.Time(outbox.Oldest, request.Now)),
            ("Most tries of one", Html.Of($"{outbox.Attempts}")))}
        {(late ? Html.Of($"""<p class="hint">Is RabbitMQ reachable from a worker, and does a worker run? Nothing is lost meanwhile: it drains by itself when both are back.</p>""") : Html.Nothing)}
        """));

    static Html Letters(ConsoleRequest request, IReadOnlyList<QueueReport> queues) => Element.Section("letters", "Dead letters by queue", queues.Count == 0
        ? Element.Empty("No message has failed.", Html.Of($"What no consumer could handle is counted here, by the queue that failed."))
        : Element.Table("Dead letters by queue", ["Queue", "#Open", "#Quarantined", "#All"], queues.Select(queue => Html.Of($"""
            <tr><th scope="row">{(request.May(Scopes.DeadLettersRead) ? Html.Of($"""<a href="{ConsolePath.With(ConsolePath.Root + "/dead-letters", ("queue", queue.Queue))}">{queue.Queue}</a>""") : Html.Of($"{queue.Queue}"))}</th>
            <td class="number">{Element.Number(queue.Open)}</td><td class="number">{Element.Number(queue.Quarantined)}</td><td class="number">{Element.Number(queue.Letters)}</td></tr>

            """))));

    static Html Invariants(ConsoleRequest request, IReadOnlyList<InvariantReport> invariants)
    {
        if (invariants.Count == 0)
            return Element.Section("invariants", "Invariants", Element.Empty("No worker has looked at the invariants yet.", Html.Of($"One does so within a minute of its start. <code>./pulse doctor</code> looks at once.")));

        var looked = invariants.Max(invariant => invariant.LookedAt);
        return Element.Section("invariants", "Invariants", Html.Of($"""
            <p class="muted">What must always be true of the database. Looked at {Element.Time(looked, request.Now)}, at what was signed up within a day; <code>./pulse doctor</code> looks at everything.</p>
            {(request.Now.UtcDateTime - looked > LookLate ? Element.Notice("warn", Html.Of($"That is long ago: no worker seems to run.")) : Html.Nothing)}
            {Element.Table("Invariants", ["Invariant", "State", "What is promised"], invariants.Select(invariant => Html.Of($"""
                <tr><th scope="row"><code>{invariant.Name}</code></th>
                <td>{(invariant.Violations == 0 ? Element.Badge("holds") : Element.Badge($"broken by {Element.Number(invariant.Violations)}", "bad"))}</td>
                <td class="wide">{invariant.Promise}{(invariant.Violations == 0 ? Html.Nothing : Html.Of($"""<br><strong>{invariant.WhatToDo}</strong>"""))}</td></tr>

                """)))}
            """));
    }
}
