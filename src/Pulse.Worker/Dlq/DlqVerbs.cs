using System.Globalization;
using System.Text.Json.Nodes;
using static Pulse.Worker.Dlq.DlqTable;

namespace Pulse.Worker.Dlq;

/// <summary>The verbs of <c>./pulse dlq</c>.</summary>
sealed class DlqVerbs(DlqOptions options, AdminClient api, TextWriter output, ReplayFollower follower)
{
    const string Letters = "/api/admin/dead-letters";
    const string Replays = "/api/admin/replays";

    // What goes with a start.
    static readonly string[] Started = ["rate", "canary", "stop-ratio"];

    public Task<int> RunAsync() => options.Verb switch
    {
        "list" => ListAsync(),
        "groups" => GroupsAsync(),
        "show" => ShowAsync(),
        "replays" => ReplaysAsync(),
        "replay" => ReplayAsync(),
        "start" => StartAsync(options.Ids[0]),
        "follow" => FollowAsync(options.Ids[0]),
        "pause" or "resume" or "cancel" => SteerAsync(),
        _ => SelectAsync(),
    };

    async Task<int> ListAsync()
    {
        var page = await api.GetAsync($"{Letters}?{Query()}");
        return await TellAsync(page, () => Rows(page, "No message is like this.",
            ["id", "status", "queue", "message", "exception", "#failures", "last failed (UTC)"],
            item => [Cell(item["dead_letter_id"]), Cell(item["status"]), Cell(item["queue"]), Short(item["message_type"]), Short(item["exception_type"]), Cell(item["occurrences"]), Time(item["last_failed_at"])]));
    }

    async Task<int> GroupsAsync()
    {
        var page = await api.GetAsync($"{Letters}/groups?{Query()}");
        return await TellAsync(page, () => Rows(page, "No message has failed.",
            ["#all", "standing", "queues", "message", "exception", "last failed (UTC)", "fingerprint"],
            item =>
            [
                Cell(item["letters"]), string.Join(", ", item["statuses"]!.AsObject().Select(status => $"{status.Value} {status.Key}")), Cell(item["queues"]), Short(item["message_type"]),
                Short(item["exception_type"]), Time(item["last_failed_at"]), Cell(item["fingerprint"]),
            ]));
    }

    async Task<int> ReplaysAsync()
    {
        var page = await api.GetAsync($"{Replays}?{Query()}");
        return await TellAsync(page, () => Rows(page, "There are no replays.",
            ["id", "status", "#messages", "#resolved", "#failed again", "planned by", "planned (UTC)"],
            item =>
            [
                Cell(item["replay_id"]), Cell(item["status"]), Cell(item["progress"]!["letters"]), Cell(item["progress"]!["resolved"]), Cell(item["progress"]!["failed_again"]), Cell(item["planned_by"]),
                Time(item["planned_at"]),
            ]));
    }

    async Task<int> ShowAsync()
    {
        var id = options.Ids[0];
        if (options.Flags.Contains("reveal"))
        {
            var revealed = await api.DoAsync($"{Letters}/{id}/reveal", null);
            return await TellAsync(revealed, () => $"""
                This is not masked. The audit log says that you saw it.

                exception  {Lines(revealed["exception_message"])}
                headers    {DlqCommand.Json(revealed["headers"]!)}
                payload    {(revealed["payload"] is { } body ? DlqCommand.Json(body) : Cell(revealed["payload_base64"], 4000))}
                stack
                {Lines(revealed["stack"])}
                """);
        }

        var detail = await api.GetAsync($"{Letters}/{id}");
        var letter = detail["letter"]!;
        return await TellAsync(detail, () => $"""
            {Cell(letter["message_type"])}   {Cell(letter["status"])}

            queue        {Cell(letter["queue"])}
            message id   {Cell(letter["message_id"])}
            organization {Cell(letter["org_id"])}
            failed       {Cell(letter["occurrences"])} times, {Time(letter["first_failed_at"])} to {Time(letter["last_failed_at"])} UTC
            replays      {Cell(letter["attempts"])}, of which {Cell(letter["failed_replays"])} failed in a row
            reason       {Cell(letter["reason"])}
            exception    {Cell(letter["exception_type"], 200)}
                         {Cell(letter["exception_message"], 500)}
            body         {Cell(detail["body_bytes"])} bytes of {Cell(detail["content_type"])}{((bool?)detail["body_cut"] == true ? ", of which the beginning is kept" : "")}
            headers
            {string.Join('\n', detail["headers"]!.AsObject().Select(header => $"  {header.Key}: {Cell(header.Value, 200)}"))}
            payload
            {(detail["payload"] is { } payload ? DlqCommand.Json(payload) : "  (no JSON, or too long: nothing of it is shown)")}
            stack
            {Lines(detail["stack"])}
            """);
    }

    async Task<int> ReplayAsync()
    {
        var plan = await api.DoAsync(Replays, Selection());
        var id = (string)plan["replay_id"]!;
        if (!options.Json)
            await output.WriteLineAsync(Plan(plan));

        JsonNode? preview = null;
        if (!options.Flags.Contains("no-preview"))
        {
            preview = await api.DoAsync($"{Replays}/{id}/preview", Numbers(("sample", "sample")));
            if (!options.Json)
                await output.WriteLineAsync($"Preview: {Cell(preview["summary"], 500)}");
        }

        if (options.Flags.Contains("yes"))
            return await StartAsync(id);

        return await TellAsync(
            new JsonObject { ["plan"] = plan.DeepClone(), ["preview"] = preview?.DeepClone() },
            () => $"Nothing has moved. The plan is good until {Time(plan["expires_at"])} UTC:\n  ./pulse dlq start {id}{string.Concat(Started.Where(options.Values.ContainsKey).Select(name => $" --{name} {options.Values[name]}"))}");
    }

    async Task<int> StartAsync(string id)
    {
        await api.DoAsync($"{Replays}/{id}/start", Numbers(("rate", "rate_per_second"), ("canary", "canary"), ("stop-ratio", "stop_on_failure_ratio")));
        return await FollowAsync(id);
    }

    async Task<int> FollowAsync(string id)
    {
        var replay = await follower.FollowAsync(id);
        await TellAsync(replay, () => ReplayFollower.IsWhole(replay)
            ? $"Every message was resolved: {ReplayFollower.Count(replay, "resolved")}."
            : $"""
              {Cell(replay["status"])}{(replay["stop_reason"] is { } why ? $" by itself ({Cell(why)})" : "")}: {ReplayFollower.Count(replay, "resolved")} of {ReplayFollower.Count(replay, "letters")} resolved, {ReplayFollower.Count(replay, "failed_again")} failed again.
              {string.Join('\n', (replay["troubled"]?.AsArray() ?? []).Take(10).Select(item => $"  {Cell(item!["dead_letter_id"])}  {Cell(item["state"])}"))}
              """.TrimEnd());
        return ReplayFollower.IsWhole(replay) ? DlqCommand.Done : DlqCommand.NotAllResolved;
    }

    async Task<int> SteerAsync()
    {
        var state = await api.DoAsync($"{Replays}/{options.Ids[0]}/{options.Verb}", null);
        return await TellAsync(state, () => $"The replay is {Cell(state["status"])}.");
    }

    async Task<int> SelectAsync()
    {
        var body = Selection();
        body["reason"] = options.Values["say"];
        var result = await api.DoAsync($"{Letters}/{options.Verb}", body);
        return await TellAsync(result, () => $"{Cell(result["letters"])} {options.Verb}ed.{Excluded(result["excluded"]!)}".Replace("restoreed", "restored", StringComparison.Ordinal));
    }

    static string Plan(JsonNode plan) => $"""
        Plan {Cell(plan["replay_id"])}: {Cell(plan["letters"])} {((long?)plan["letters"] == 1 ? "message" : "messages")}.{((bool?)plan["plan"]!["capped"] == true ? " More were found than one plan takes." : "")}
        {Of(["#messages", "goes to", "message", "failed with"], [.. plan["plan"]!["groups"]!.AsArray().Select(group => (IReadOnlyList<string>)[Cell(group!["letters"]), Cell(group["queue"]), Short(group["message_type"]), Short(group["exception_type"])])])}{Excluded(plan["plan"]!["excluded"]!)}
        """;

    static string Excluded(JsonNode excluded) => string.Concat(excluded.AsArray().Select(part => $"\n  left out: {Cell(part!["letters"])} {Cell(part["why"]).Replace('_', ' ')}"));

    JsonObject Selection()
    {
        if (options.Ids.Count > 0)
            return new JsonObject { ["ids"] = new JsonArray([.. options.Ids.Select(id => JsonValue.Create(id))]) };

        var filter = new JsonObject();
        foreach (var (name, value) in options.Filter)
            filter[name] = name == "status" ? new JsonArray([.. value.Split(',').Select(status => JsonValue.Create(status))]) : value;
        return new JsonObject { ["filter"] = filter };
    }

    // What is no number is sent as it is: the API says what it should have been.
    JsonObject Numbers(params (string Option, string Field)[] numbers)
    {
        var body = new JsonObject();
        foreach (var (option, field) in numbers)
        {
            if (options.Values.TryGetValue(option, out var text))
                body[field] = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : text;
        }

        return body;
    }

    string Query() => string.Join('&', options.Values.Select(value => $"{value.Key}={Uri.EscapeDataString(value.Value)}"));

    static string Rows(JsonNode page, string none, IReadOnlyList<string> columns, Func<JsonNode, IReadOnlyList<string>> row)
    {
        var items = page["items"]!.AsArray();
        return items.Count == 0 ? none : Of(columns, [.. items.Select(item => row(item!))]) + (page["next_cursor"] is null ? "" : "\n… and more: --limit 200, or a narrower filter.");
    }

    async Task<int> TellAsync(JsonNode json, Func<string> text)
    {
        await output.WriteLineAsync(options.Json ? DlqCommand.Json(json) : text());
        return DlqCommand.Done;
    }
}
