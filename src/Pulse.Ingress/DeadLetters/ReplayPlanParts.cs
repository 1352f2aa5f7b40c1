using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;

namespace Pulse.Ingress.DeadLetters;

/// <summary>What the page of a plan is made of.</summary>
static class ReplayPlanParts
{
    const int OutcomesShown = 20;

    public static Html Plan(Replay replay) => Element.Section("plan", "The plan", Html.Of($"""
        {(replay.Plan.Capped ? Element.Notice("warn", Html.Of($"More were found than one plan takes: it has those that failed last.")) : Html.Nothing)}
        {Element.Table("The plan", ["Goes to", "Message type", "Failed with", "#Messages"], replay.Plan.Groups.Select(group => Html.Of($"""
            <tr><th scope="row">{group.Queue}</th><td>{DeadLetterPages.Short(group.MessageType)}</td>
            <td><a href="{DeadLetterPages.Group(group.Fingerprint)}">{DeadLetterPages.Short(group.ExceptionType) ?? "no exception"}</a></td><td class="number">{Element.Number(group.Letters)}</td></tr>

            """)))}
        {(replay.Plan.Samples.Count == 0 ? Html.Nothing : Html.Of($"""<p class="hint">For example {Html.All(replay.Plan.Samples.Take(3).Select(sample => Html.Of($"""<a href="{DeadLetterPages.Letter(sample)}"><code>{sample}</code></a> """)))}</p>"""))}
        """));

    public static Html Preview(ConsoleRequest request, Replay replay)
    {
        if (replay.Preview is not { } preview)
            return Html.Nothing;

        (string Name, string Tone, int Count)[] kinds =
        [
            ("would create something", "good", preview.WouldCreate), ("would change something", "good", preview.WouldChange),
            ("would change nothing", "idle", preview.WouldChangeNothing), ("would still fail", "bad", preview.WouldFail), ("cannot be told", "warn", preview.CannotTell),
        ];
        return Element.Section("preview", "Preview", Html.Of($"""
            <p><strong>{preview.Summary}</strong> <span class="muted">{SelectionPages.Count(preview.LookedAt)} of {Element.Number(preview.Letters)} looked at, {Element.Time(preview.At.UtcDateTime, request.Now)}</span></p>
            <p>{Html.All(kinds.Where(kind => kind.Count > 0).Select(kind => Html.Of($"{Element.Badge($"{Element.Number(kind.Count)} {kind.Name}", kind.Tone)} ")))}</p>
            {(preview.Outcomes.Count == 0 ? Html.Nothing : Element.Table("What each message would do", ["Message", "Outcome", "Why, or what"],
                preview.Outcomes.OrderBy(outcome => outcome.Outcome switch { "would_fail" => 0, "cannot_tell" => 1, _ => 2 }).Take(OutcomesShown).Select(outcome => Html.Of($"""
                    <tr><th scope="row"><a href="{DeadLetterPages.Letter(outcome.DeadLetterId)}"><code>{outcome.DeadLetterId}</code></a></th>
                    <td>{Element.Badge(outcome.Outcome.Replace('_', ' '), outcome.Outcome switch { "would_fail" => "bad", "cannot_tell" => "warn", "would_change_nothing" => "idle", _ => "good" })}</td>
                    <td class="wide">{Detail(outcome)}</td></tr>

                    """))))}
            {(preview.Outcomes.Count > OutcomesShown ? Html.Of($"""<p class="hint">The first {OutcomesShown} of {preview.Outcomes.Count}, those that would fail first. The API tells all of them.</p>""") : Html.Nothing)}
            """));
    }

    static Html Detail(PreviewOutcome outcome) => outcome.ExceptionType is not null
        ? Html.Of($"{DeadLetterPages.Short(outcome.ExceptionType)}")
        : outcome.Why is { } why
            ? Html.Of($"{Because(why)}")
            : Html.Of($"{string.Join("; ", Effects(outcome))}");

    static IEnumerable<string> Effects(PreviewOutcome outcome) =>
        from part in ((string Verb, IReadOnlyDictionary<string, long>? Counts)[])
            [("inserts", outcome.Inserted), ("updates", outcome.Updated), ("deletes", outcome.Deleted), ("publishes", outcome.Published)]
        where part.Counts is { Count: > 0 }
        select $"{part.Verb} {string.Join(", ", part.Counts.Select(count => $"{count.Value} {DeadLetterPages.Short(count.Key)}"))}";

    static string Because(string why) => why switch
    {
        "already_done" => "It was done before: the inbox has it",
        "external_call" => "It needs a call to the outside, which a preview does not make",
        "not_a_message" => "It is no message of this build",
        "timed_out" => "It took too long",
        "busy" => "Somebody holds a row that it needs",
        _ => why.Replace('_', ' '),
    };

    /// <summary>What can be done with a plan: look at what it would do, start it, drop it.</summary>
    public static Html Start(ConsoleRequest request, Replay replay)
    {
        var path = $"{ReplayPages.Path}/{replay.ReplayId}";
        var most = PlanRequest.Most.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return Html.Of($"""
            <div class="columns">
            {Element.Section("look", "1. Preview", Html.Of($"""
                <p>Runs the consumers in transactions that are rolled back: nothing is stored, published or called.</p>
                {Element.Form(request, path + "/preview", Element.NumberInput("sample", "Messages to look at", "50", "1", "200", "1", "1 to 200, spread over the plan"), "Preview")}
                """))}
            {Element.Section("run", "2. Start", Html.Of($"""
                <p>{SelectionPages.Count(replay.Progress.Letters)} will be sent to the queue that failed, and nowhere else.</p>
                {Element.Form(request, path + "/start", Html.Of($"""
                    {Element.NumberInput("canary", "Canary", "5", "0", most, "1", "So many are sent first, and waited for. 0: none")}
                    {Element.NumberInput("rate_per_second", "Messages a second", "50", "0", "10000", "any", "0: as fast as it goes")}
                    {Element.NumberInput("stop_on_failure_ratio", "Stop when so many fail again", "0.1", "0", "1", "any", "0 to 1, of those that were handled. 1: never")}
                    """), "Start the replay", null)}
                {ReplayPages.Verb(request, replay, "cancel", "Drop the plan")}
                """))}
            </div>
            """);
    }
}
