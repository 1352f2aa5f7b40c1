using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.Primitives;
using Pulse.Contracts.DeadLetters;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.DeadLetters;

/// <summary>What a query and a command on dead letters must look like.</summary>
static class DeadLetterRules
{
    public const int TextMost = 200;
    public const int ReasonMost = 500;
    public const int RateMost = 10_000;

    /// <summary>A letter in a quarter of an hour or so; slower is no replay, and its intervals are no longer times that can be written down.</summary>
    public const double RateLeast = 0.001;
    public const int SampleMost = 200;

    /// <summary>What nobody has put right yet.</summary>
    public const string Open = "open";

    static readonly string[] OpenStatuses = [DeadLetterStatus.Parked, DeadLetterStatus.FailedAgain, DeadLetterStatus.Quarantined];
    static readonly string[] Reasons = ["fault", "skipped", "delivery_limit", "other"];

    // As a query calls them, and as the contract does.
    static readonly Dictionary<string, string> Names = new(StringComparer.Ordinal)
    {
        ["queue"] = "queue",
        ["type"] = "message_type",
        ["message_type"] = "message_type",
        ["exception"] = "exception_type",
        ["exception_type"] = "exception_type",
        ["fingerprint"] = "fingerprint",
        ["reason"] = "reason",
        ["org"] = "org_id",
        ["org_id"] = "org_id",
        ["id"] = "id",
        ["status"] = "status",
        ["from"] = "failed_from",
        ["failed_from"] = "failed_from",
        ["to"] = "failed_until",
        ["failed_until"] = "failed_until",
        ["q"] = "text",
        ["text"] = "text",
    };

    /// <summary>The query of the list, or null and what is wrong: field → messages.</summary>
    public static LetterQuery? Letters(IQueryCollection query, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var limit = ListQuery.Limit(query, errors);
        LetterPlace? after = null;
        if (ListQuery.One(query, "cursor", errors) is { } cursor && (after = LetterPlace.Read("l", cursor)) is null)
            errors["cursor"] = ["cursor is not one that this list gave."];

        var filter = new DeadLetterFilter();
        foreach (var (name, values) in query.Where(field => field.Key is not ("limit" or "cursor") && Names.ContainsKey(field.Key)))
        {
            if (!StringValues.IsNullOrEmpty(values))
                filter = With(filter, name, [.. values.SelectMany(value => Names[name] == "status" ? (value ?? "").Split(',') : [value ?? ""])], errors);
        }

        return errors.Count > 0 ? null : new LetterQuery(filter, after, limit);
    }

    public static GroupQuery? Groups(IQueryCollection query, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var limit = ListQuery.Limit(query, errors);
        GroupPlace? after = null;
        if (ListQuery.One(query, "cursor", errors) is { } cursor && (after = GroupPlace.Read(cursor)) is null)
            errors["cursor"] = ["cursor is not one that this list gave."];

        var status = ListQuery.One(query, "status", errors);
        if (status is not null && status != Open && !DeadLetterStatus.All.Contains(status))
            errors["status"] = [$"status is one of {Open}, {string.Join(", ", DeadLetterStatus.All)}."];
        var queue = ListQuery.One(query, "queue", errors);
        if (queue is not null && !IsText(queue))
            errors["queue"] = [TextMistake("queue")];

        return errors.Count > 0 ? null : new GroupQuery(queue, status, after, limit);
    }

    public static ReplayQuery? Replays(IQueryCollection query, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var limit = ListQuery.Limit(query, errors);
        LetterPlace? after = null;
        if (ListQuery.One(query, "cursor", errors) is { } cursor && (after = LetterPlace.Read("r", cursor)) is null)
            errors["cursor"] = ["cursor is not one that this list gave."];
        var status = ListQuery.One(query, "status", errors);
        if (status is not null && !ReplayStatus.All.Contains(status))
            errors["status"] = [$"status is one of {string.Join(", ", ReplayStatus.All)}."];

        return errors.Count > 0 ? null : new ReplayQuery(status, after, limit);
    }

    public static PlanRequest? Plan(JsonElement body, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var (filter, ids) = Selection(body, ["include_quarantined"], errors);
        var include = false;
        if (Find(body, "include_quarantined") is { } flag)
        {
            include = flag.ValueKind == JsonValueKind.True;
            if (flag.ValueKind is not (JsonValueKind.True or JsonValueKind.False) || (include && ids is null))
                errors["include_quarantined"] = ["include_quarantined is true or false, and goes with ids only."];
        }

        return errors.Count > 0 ? null : new PlanRequest { Filter = filter, Ids = ids, IncludeQuarantined = include };
    }

    public static SelectionRequest? Selection(JsonElement body, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var (filter, ids) = Selection(body, ["reason"], errors);
        var reason = Reason(body, errors);
        return errors.Count > 0 ? null : new SelectionRequest { Filter = filter, Ids = ids, Reason = reason! };
    }

    public static PreviewRequest? Preview(JsonElement? body, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var request = new PreviewRequest();
        if (body is { } given)
        {
            Only(given, ["sample"], errors);
            if (Number(given, "sample", errors, 1, SampleMost, whole: true) is { } sample)
                request = request with { Sample = (int)sample };
        }

        return errors.Count > 0 ? null : request;
    }

    public static StartRequest? Start(JsonElement? body, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var request = new StartRequest();
        if (body is { } given)
        {
            Only(given, ["rate_per_second", "canary", "stop_on_failure_ratio"], errors);
            request = new StartRequest
            {
                RatePerSecond = Number(given, "rate_per_second", errors, 0, RateMost, whole: false) ?? request.RatePerSecond,
                Canary = (int)(Number(given, "canary", errors, 0, PlanRequest.Most, whole: true) ?? request.Canary),
                StopOnFailureRatio = Number(given, "stop_on_failure_ratio", errors, 0, 1, whole: false) ?? request.StopOnFailureRatio,
            };
            if (request.RatePerSecond is > 0 and < RateLeast)
                errors["rate_per_second"] = [string.Create(CultureInfo.InvariantCulture, $"rate_per_second is 0, for as fast as it goes, or a number from {RateLeast} to {RateMost}.")];
        }

        return errors.Count > 0 ? null : request;
    }

    /// <summary>The body of an edit, without the letter's id.</summary>
    public static EditBody? Edit(JsonElement body, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        Only(body, ["message", "reason"], errors);
        var reason = Reason(body, errors);
        var message = Find(body, "message");
        if (message is not { ValueKind: JsonValueKind.Object } || message.Value.GetRawText().Contains("\\u0000", StringComparison.OrdinalIgnoreCase))
            errors["message"] = ["message is the whole message as it shall be: a JSON object, without NUL."];

        return errors.Count > 0 ? null : new EditBody { Message = message!.Value, Reason = reason! };
    }

    /// <summary>A command with nothing to say.</summary>
    public static bool IsNothing(JsonElement? body, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        if (body is { } given)
            Only(given, [], errors);
        return errors.Count == 0;
    }

    static (DeadLetterFilter? Filter, List<Guid>? Ids) Selection(JsonElement body, string[] beside, OrderedDictionary<string, string[]> errors)
    {
        Only(body, ["filter", "ids", .. beside], errors);
        var (filter, ids) = (Find(body, "filter"), Find(body, "ids"));
        if (filter is null == ids is null)
        {
            errors["filter"] = ["Either filter or ids says which letters; an empty filter is all of them."];
            return default;
        }

        return filter is { } given ? (Filter(given, errors), null) : (null, Ids(ids!.Value, errors));
    }

    static List<Guid>? Ids(JsonElement value, OrderedDictionary<string, string[]> errors)
    {
        var ids = value.ValueKind == JsonValueKind.Array && value.GetArrayLength() is >= 1 and <= PlanRequest.MostIds
            ? value.EnumerateArray().Select(item => Guid.TryParseExact(JsonObjectBody.Text(item), "D", out var id) ? id : (Guid?)null).ToList()
            : [null];
        if (ids.TrueForAll(id => id is not null))
            return [.. ids.Select(id => id!.Value).Distinct()];

        errors["ids"] = [$"ids is a list of 1 to {PlanRequest.MostIds} ids of dead letters."];
        return null;
    }

    static DeadLetterFilter? Filter(JsonElement value, OrderedDictionary<string, string[]> errors)
    {
        if (value.ValueKind != JsonValueKind.Object || JsonObjectBody.Fields(value) is not { } fields)
        {
            errors["filter"] = ["filter is an object."];
            return null;
        }

        var filter = new DeadLetterFilter();
        foreach (var field in fields.Where(field => field.Value.ValueKind != JsonValueKind.Null))
        {
            // A misspelt field must not find everything.
            var values = field.Value.ValueKind == JsonValueKind.Array ? field.Value.EnumerateArray().Select(JsonObjectBody.Text).ToList() : [JsonObjectBody.Text(field.Value)];
            if (!Names.ContainsKey(field.Name))
                errors[field.Name] = ["There is no such field."];
            else if (values.Contains(null))
                errors[field.Name] = [$"{field.Name} is a text."];
            else
                filter = With(filter, field.Name, [.. values.OfType<string>()], errors);
        }

        return filter;
    }

    static DeadLetterFilter With(DeadLetterFilter filter, string name, IReadOnlyList<string> values, OrderedDictionary<string, string[]> errors)
    {
        var known = Names[name];
        if (known == "status")
        {
            var statuses = values.SelectMany(value => value == Open ? OpenStatuses : [value]).Distinct().ToList();
            if (statuses.Count == 0 || statuses.Exists(status => !DeadLetterStatus.All.Contains(status)))
                errors[name] = [$"status is one or more of {Open}, {string.Join(", ", DeadLetterStatus.All)}."];
            return filter with { Status = statuses };
        }

        if (values is not [var text])
        {
            errors[name] = [$"{name} stands there more than once."];
            return filter;
        }

        text = text.Trim();
        switch (known)
        {
            case "org_id":
            case "id":
                var id = known == "org_id" ? OrgAddress.Parse(text) : Guid.TryParseExact(text, "D", out var any) ? any : null;
                if (id is null)
                    errors[name] = [$"{name} is a UUID."];
                return known == "org_id" ? filter with { OrgId = id } : filter with { Id = id };
            case "failed_from":
            case "failed_until":
                if (Time(text) is not { } at)
                {
                    errors[name] = [$"{name} is a time such as 2030-01-31T12:00:00Z."];
                    return filter;
                }

                return known == "failed_from" ? filter with { FailedFrom = at } : filter with { FailedUntil = at };
            case "reason" when !Reasons.Contains(text):
                errors[name] = [$"reason is one of {string.Join(", ", Reasons)}."];
                return filter;
        }

        if (!IsText(text))
        {
            errors[name] = [TextMistake(name)];
        }
        else if (known == "text")
        {
            // A guess must not be confirmed: what is masked is not found either.
            if (Masking.Words(text, out text) is { } masked)
                errors[name] = [$"A search finds words that are shown: '{masked}' would be masked, so nothing is found by it. Look for the organization (org), an id of the message (id) or its exception instead."];
        }
        else if (known is "message_type" or "exception_type" && Masking.TypeName(text) != text)
        {
            errors[name] = [$"{name} is a whole name, as it is shown: this one would be masked. fingerprint finds what failed alike."];
        }

        return known switch
        {
            "queue" => filter with { Queue = text },
            "message_type" => filter with { MessageType = text },
            "exception_type" => filter with { ExceptionType = text },
            "fingerprint" => filter with { Fingerprint = text },
            "reason" => filter with { Reason = text },
            _ => filter with { Text = text },
        };
    }

    static string? Reason(JsonElement body, OrderedDictionary<string, string[]> errors)
    {
        if (Find(body, "reason") is { } value && JsonObjectBody.Text(value)?.Trim() is { Length: >= 1 and <= ReasonMost } reason && !reason.Any(char.IsControl))
            return reason;

        errors["reason"] = [$"reason is needed: a text of 1 to {ReasonMost} characters, without control characters and without personal data."];
        return null;
    }

    static double? Number(JsonElement body, string field, OrderedDictionary<string, string[]> errors, double least, double most, bool whole)
    {
        if (Find(body, field) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= least && number <= most && (!whole || number == Math.Floor(number)))
            return number;

        errors[field] = [string.Create(CultureInfo.InvariantCulture, $"{field} is a {(whole ? "whole " : "")}number from {least} to {most}.")];
        return null;
    }

    // A misspelt field must not be a default in silence.
    static void Only(JsonElement body, string[] fields, OrderedDictionary<string, string[]> errors)
    {
        if (JsonObjectBody.Fields(body) is not { } given)
            errors["body"] = ["A field's name is not text."];
        else
            foreach (var field in given.Where(field => !fields.Contains(field.Name)))
                errors[field.Name] = [fields.Length == 0 ? "Nothing is said with this." : $"There is no such field: {string.Join(", ", fields)} are what there is."];
    }

    static JsonElement? Find(JsonElement body, string field) => body.TryGetProperty(field, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    static bool IsText(string text) => text.Length is >= 1 and <= TextMost && !text.Any(char.IsControl);

    static string TextMistake(string name) => $"{name} is a text of 1 to {TextMost} characters.";

    // Without an offset it is UTC, as everything here is.
    static DateTimeOffset? Time(string text) =>
        text.Length >= 10 && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
        && time.Year is >= 2000 and < 3000
            ? time
            : null;
}
