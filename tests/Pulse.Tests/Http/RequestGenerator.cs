using System.Text;
using System.Text.Json;
using Pulse.Ingress.Console;

namespace Pulse.Tests.Http;

/// <summary>Requests that are nearly right, or not at all.</summary>
/// <param name="random">Whose every choice it is.</param>
/// <param name="keys">What may stand in Authorization, behind Bearer: the first may do everything, the last is /authz's own.</param>
/// <param name="sessions">Secrets of console sessions of such a key.</param>
/// <param name="ids">What there is, by the name of a route's parameter; orgs go for any other name.</param>
/// <param name="words">Fields and values that mean something to somebody.</param>
sealed class RequestGenerator(Random random, string[] keys, string[] sessions, IReadOnlyDictionary<string, string[]> ids, string[] words)
{
    readonly string[] _orgs = ids["org_id"];

    static readonly string[] Verbs = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "PURGE", "X", new('M', 200)];

    static readonly string[] Odd =
    [
        "%00", "%ff", "..", "%2e%2e", "%2F", "%5C", "'", "\"", "%ed%a0%80", "{org_id}", "%F0%9F%92%A9", "%", "%zz", "*", "~", "a;b=c", "%0d%0aX-Injected:%201", "default%00", "%25%30%30", "DEFAULT", "-1",
        "99999999999999999999999999", "00000000-0000-7000-8000-000000000000%00", "%C4%B0", "e%CC%81",
    ];

    static readonly string[] Texts =
    [
        "", " ", "\0", "\u0001", "\ufffe\uffff", "İ", "ẞ", "é", "e\u0301", "💩", "\u202e", "';drop table pulse.users--", "{{7*7}}", "../../etc/passwd", "1e999", "NaN", "true", "null", "2040-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00", "a@b.co", "pin", "deny", "-0", "30",
    ];

    static readonly string[] Names =
    [
        "Idempotency-Key", "If-Match", "X-Request-ID", "X-Forwarded-For", "Accept", "Accept-Encoding", "Cookie", "Expect", "Range", "Stripe-Signature", "X-Pulse-Org-Id", "X-Pulse-Capability", "X-Pulse-Authz-Key", "X-Pulse-Proxy",
        "Prefer", "Content-Encoding", "If-None-Match", "Traceparent", "X-HTTP-Method-Override", "Origin", "Upgrade", "TE", "X-Pulse-Ünicode",
    ];

    static readonly string[] Types = ["application/json", "application/json; charset=utf-8", "application/json; charset=utf-7", "text/plain", "application/x-www-form-urlencoded", "nonsense", "application/*", "multipart/form-data; boundary=x", ""];

    /// <summary>Bodies that a route takes, with an organization and an id of anything else.</summary>
    static readonly string[] Sound =
    [
        """{"reason":"r"}""", """{"reason":"r","retention_days":30}""", """{"retention_days":1,"waive_export":true,"reason":"r"}""", """{"email":"ORG@example.com","org_name":"ORG"}""",
        """{"subject":{"type":"user","id":"ID"},"action":{"name":"read"},"resource":{"type":"organization","id":"ORG"},"context":{"capability":"api"}}""",
        """{"subscription_state":"active","capabilities":["api"],"limits":{"seats":5},"meters_enabled":[],"plan_version":"pro","reason":"r","expires_at":"2040-01-01T00:00:00Z"}""",
        """{"effect":"deny","reason":"r"}""", """{"status":"succeeded"}""", """{"status":"failed","reason":"r"}""", """{"filter":{"queue":"billing-sync","status":"open"},"reason":"r"}""",
        """{"ids":["ID"],"reason":"r"}""", """{"sample":20}""", """{"rate_per_second":5,"canary":1,"stop_on_failure_ratio":0.5}""", """{"message":{"customerId":"cus_2"},"reason":"r"}""", "{}",
        """{"hash":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}""",
        """{"id":"evt_ORG","object":"event","type":"customer.subscription.updated","created":1,"data":{"object":{"id":"sub_1","customer":"cus_1"}}}""",
    ];

    public RandomRequest Next((string Method, string Template) route)
    {
        var (method, template) = route;
        var console = template.StartsWith("/console", StringComparison.Ordinal);
        if (random.Next(8) == 0)
            method = One(Verbs);
        var headers = new List<(string, string)>();
        // Nearly always: what is refused for want of a key has not been tried.
        if (random.Next(10) > 0)
            headers.Add(("Authorization", random.Next(12) switch { 0 => Header(), 1 => $"Bearer {Header()}", 2 => "Bearer a.b.c", 3 => "Basic dTpw", _ => $"Bearer {(random.Next(2) == 0 ? keys[0] : One(keys))}" }));
        if (template.StartsWith("/authz", StringComparison.Ordinal) && random.Next(5) > 0)
            headers.AddRange([("X-Pulse-Authz-Key", keys[^1]), ("X-Pulse-Org-Id", One(_orgs))]);
        var session = One(sessions);
        if (console && random.Next(10) > 0)
            headers.Add(("Cookie", $"pulse-console={(random.Next(20) == 0 ? Header() : session)}; pulse-console-guest={session}"));
        for (var count = random.Next(4); count > 0; count--)
            headers.Add((One(Names), random.Next(3) == 0 ? One(_orgs) : Header()));

        var body = method is not ("POST" or "PUT" or "PATCH") && random.Next(6) > 0 ? [] : console && random.Next(5) > 0 ? Form(session) : Body();
        if (body.Length > 0 || random.Next(20) == 0)
            headers.Add(("Content-Type", random.Next(8) == 0 ? One(Types) : console ? "application/x-www-form-urlencoded" : Types[0]));
        // What waits for a body must not be kept waiting: Kestrel says 100 by itself, and that is not the answer.
        headers.RemoveAll(header => header.Item1 == "Expect");
        return new RandomRequest(method, Target(template), headers, body) { Route = route, BreaksOff = random.Next(50) == 0 };
    }

    // As a page of this session sends it, nearly.
    byte[] Form(string session)
    {
        var fields = new List<string>();
        if (random.Next(12) > 0)
            fields.Add($"{ConsoleForm.TokenField}={ConsoleSession.FormToken(session)}");
        if (random.Next(2) == 0)
            fields.Add($"key={keys[0]}&reason=r&retention_days=30&yes=yes&confirmed={One(_orgs)}");
        for (var count = random.Next(8); count > 0; count--)
            fields.Add($"{(random.Next(10) == 0 ? One(Odd) : Uri.EscapeDataString(One(words)))}={(random.Next(3) == 0 ? One(One(ids.Values.ToList())) : random.Next(2) == 0 ? Uri.EscapeDataString(Text()) : One(Odd))}");
        var form = Encoding.UTF8.GetBytes(string.Join('&', fields));
        return form.Length > 0 && random.Next(8) == 0 ? Damaged(form) : form;
    }

    string Target(string template)
    {
        var path = template;
        while (path.IndexOf('{', StringComparison.Ordinal) is var from and >= 0)
        {
            var to = path.IndexOf('}', StringComparison.Ordinal);
            path = path[..from] + (random.Next(3) > 0 && ids.TryGetValue(path[(from + 1)..to], out var there) ? One(there) : Segment()) + path[(to + 1)..];
        }

        path = random.Next(25) switch
        {
            0 => path + "/",
            1 => path.ToUpperInvariant(),
            2 => path + "/" + One(Odd),
            3 => path.Insert(random.Next(1, path.Length), One(Odd)),
            4 => "//" + path,
            _ => path,
        };
        if (random.Next(3) > 0)
            return path;

        var query = Enumerable.Range(0, random.Next(1, 6)).Select(_ => $"{(random.Next(4) == 0 ? Odd[random.Next(Odd.Length)] : Uri.EscapeDataString(One(words)))}={Segment()}");
        return $"{path}?{string.Join('&', query)}";
    }

    string Segment() => random.Next(6) switch
    {
        0 => One(Odd),
        1 => Guid.NewGuid().ToString(),
        2 => Uri.EscapeDataString(Text()),
        3 => random.Next(20) == 0 ? new string('x', 3000) : "default",
        _ => One(_orgs),
    };

    // Without a line's end: that would be another request.
    string Header() => random.Next(8) switch
    {
        0 => new string((char)random.Next(33, 127), random.Next(1, random.Next(10) == 0 ? 9000 : 60)),
        1 => string.Concat(Enumerable.Range(0, random.Next(1, 40)).Select(_ => (char)random.Next(128, 256))),
        2 => Guid.NewGuid().ToString(),
        3 => random.NextInt64(long.MinValue, long.MaxValue).ToString(System.Globalization.CultureInfo.InvariantCulture),
        4 => $"\"{random.Next()}\"",
        5 => string.Concat(Texts[random.Next(Texts.Length)].Where(letter => letter is >= ' ' and < '\u0100')),
        6 => $"t={random.Next()},v1={Convert.ToHexStringLower(BitConverter.GetBytes(random.NextInt64()))}",
        _ => One(words),
    };

    byte[] Body() => random.Next(20) switch
    {
        0 => [],
        1 => Bytes(random.Next(1, 400)),
        2 => Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", random.Next(1, 12_000))) + "1"),
        3 => Encoding.UTF8.GetBytes(new string('[', random.Next(1, 60_000))),
        4 => Encoding.UTF8.GetBytes("{\"reason\":\"" + new string('x', random.Next(60_000, 600_000)) + "\"}"),
        5 or 6 => Damaged(Encoding.UTF8.GetBytes(Object(0))),
        7 or 8 => Damaged(SoundBody()),
        9 or 10 or 11 or 12 => SoundBody(),
        _ => Encoding.UTF8.GetBytes(Object(0)),
    };

    byte[] SoundBody() => Encoding.UTF8.GetBytes(One(Sound).Replace("ORG", One(_orgs), StringComparison.Ordinal).Replace("ID", One(One(ids.Values.ToList())), StringComparison.Ordinal));

    byte[] Damaged(byte[] body)
    {
        var at = random.Next(body.Length);
        return random.Next(4) switch
        {
            0 => body[..at],
            1 => [.. body[..at], (byte)random.Next(256), .. body[(at + 1)..]],
            2 => [.. body[..at], .. body[(at / 2)..]],
            _ => [.. body[..at], 0xed, 0xa0, 0x80, .. body[at..]],
        };
    }

    string Object(int depth) => $"{{{string.Join(',', Enumerable.Range(0, random.Next(6)).Select(_ => $"{Quoted(random.Next(8) == 0 ? Text() : One(words))}:{Value(depth + 1)}"))}}}";

    string Value(int depth) => random.Next(depth > 6 ? 6 : 9) switch
    {
        0 => Quoted(Text()),
        1 => Quoted(One(words)),
        2 => Quoted(One(One(ids.Values.ToList()))),
        3 => One(["0", "-1", "5", "30", "3651", "1e400", "-0.0", "9223372036854775808", "1.5", "01", "+1", "NaN"]),
        4 => One(["null", "true", "false", "undefined", "\"\\ud800\"", "\"\\u0000\""]),
        5 => Quoted(One(Texts)),
        6 => $"[{string.Join(',', Enumerable.Range(0, random.Next(4)).Select(_ => Value(depth + 1)))}]",
        _ => Object(depth),
    };

    string Text() => random.Next(3) switch
    {
        0 => One(Texts),
        1 => string.Concat(Enumerable.Range(0, random.Next(1, 30)).Select(_ => (char)random.Next(1, 0xd7ff))),
        _ => One(words),
    };

    static string Quoted(string text) => JsonSerializer.Serialize(text);

    byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    T One<T>(IReadOnlyList<T> all) => all[random.Next(all.Count)];
}
