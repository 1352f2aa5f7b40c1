using System.Net.Http.Headers;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Pulse.Tests.Signups;

public sealed class MalformedTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Theory]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("\"text\"")]
    [InlineData("{")]
    [InlineData("{}{}")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":\"Acme\",}")]
    [InlineData("{'email':'a@b.co','org_name':'Acme'}")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":\"Acme\"} // and more")]
    [InlineData("{\"email\":7,\"org_name\":\"Acme\"}")]
    [InlineData("{\"email\":[\"a@b.co\"],\"org_name\":\"Acme\"}")]
    [InlineData("{\"email\":{\"a\":1},\"org_name\":\"Acme\"}")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":true}")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":\"Acme\",\"password\":12345678}")]
    [InlineData("{\"email\":\"a@b.co\",\"email\":\"c@d.co\",\"org_name\":\"Acme\"}")]
    [InlineData("{\"email\":\"\\ud800@b.co\",\"org_name\":\"Acme\"}")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":\"Acme\\udc00\"}")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":\"Acme\",\"password\":\"12345678\\ud83d\"}")]
    public async Task What_is_no_signup_in_JSON_is_400(string body) =>
        await (await Ingress.SignupAsync(Encoding.UTF8.GetBytes(body))).IsProblem(400, "invalid_request");

    [Theory]
    [InlineData("{}", "invalid_email")]
    [InlineData("{\"email\":null,\"org_name\":\"Acme\"}", "invalid_email")]
    [InlineData("{\"email\":\"a\\u0000@b.co\",\"org_name\":\"Acme\"}", "invalid_email")]
    [InlineData("{\"email\":\"a@b.co\",\"password\":\"12345678\\u0000\",\"org_name\":\"Acme\"}", "invalid_password")]
    [InlineData("{\"email\":\"a@b.co\",\"password\":\"\",\"org_name\":\"Acme\"}", "invalid_password")]
    [InlineData("{\"email\":\"a@b.co\"}", "invalid_org_name")]
    [InlineData("{\"email\":\"a@b.co\",\"org_name\":\"Ac\\u0000me\"}", "invalid_org_name")]
    public async Task What_is_wrong_in_a_field_is_400_with_its_code(string body, string code)
    {
        var problem = await (await Ingress.SignupAsync(Encoding.UTF8.GetBytes(body))).IsProblem(400, code);

        Assert.NotEmpty(problem.GetProperty("errors").GetProperty(code["invalid_".Length..]).EnumerateArray().First().GetString()!);
    }

    [Fact]
    public async Task Unknown_members_are_ignored()
    {
        var body = $$$"""{"plan":{"deep":[1,null]},"email":"{{{Some.Email}}}","Email":7,"org_name":"Acme","password":null}""";

        await (await Ingress.SignupAsync(Encoding.UTF8.GetBytes(body))).SignupId();
    }

    [Fact]
    public async Task Invalid_UTF8_is_400_even_where_nobody_reads_it()
    {
        byte[][] bodies =
        [
            [.. "{\"email\":\"a"u8, 0xff, .. "@b.co\",\"org_name\":\"Acme\"}"u8],
            [.. "{\"email\":\"a@b.co\",\"org_name\":\"Acme\",\"else\":\""u8, 0xc0, 0x80, .. "\"}"u8],
            // A lone surrogate as bytes.
            [.. "{\"email\":\"a@b.co\",\"org_name\":\"Acme"u8, 0xed, 0xa0, 0x80, .. "\"}"u8],
        ];
        foreach (var body in bodies)
            await (await Ingress.SignupAsync(body)).IsProblem(400, "invalid_request");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/xml")]
    public async Task Another_content_type_is_400(string? type)
    {
        using var content = new StringContent(Some.Signup.ToJson());
        content.Headers.ContentType = type is null ? null : new MediaTypeHeaderValue(type);

        await (await Ingress.Http.PostAsync("/api/public/signup", content)).IsProblem(400, "invalid_request");
    }

    [Fact]
    public async Task A_body_may_have_64_KiB_and_not_a_byte_more_whatever_Content_Length_says()
    {
        var least = Encoding.UTF8.GetByteCount((Some.Signup with { Email = "a@b.co", OrgName = "Acme" }).ToJson());
        var body = (Some.Signup with { Email = "a@b.co", OrgName = "Acme" }).ToJson();

        await (await Ingress.SignupAsync(Encoding.UTF8.GetBytes(body + new string(' ', 65_536 - least)))).SignupId();
        await (await Ingress.SignupAsync(Encoding.UTF8.GetBytes(body + new string(' ', 65_537 - least)))).IsProblem(413, "payload_too_large");

        foreach (var size in (int[])[65_537, 300_000])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/public/signup");
            request.Content = new StreamContent(new MemoryStream(Encoding.UTF8.GetBytes(body + new string(' ', size - least))));
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            request.Headers.TransferEncodingChunked = true;
            await (await Ingress.Http.SendAsync(request)).IsProblem(413, "payload_too_large");
        }
    }

    [Theory]
    [InlineData("GET", "/api/public/signup", 405, "method_not_allowed")]
    [InlineData("DELETE", "/api/public/signup/01900000-0000-7000-8000-000000000000", 405, "method_not_allowed")]
    [InlineData("GET", "/api/public/signups", 404, "not_found")]
    [InlineData("POST", "/", 404, "not_found")]
    public async Task A_wrong_method_is_405_and_an_unknown_route_404(string method, string path, int status, string code)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        // Whatever the caller would rather have.
        request.Headers.Accept.ParseAdd("text/html");

        await (await Ingress.Http.SendAsync(request)).IsProblem(status, code);
    }

    [Fact]
    public async Task No_body_whatever_makes_a_500()
    {
        var wrong = new System.Collections.Concurrent.ConcurrentBag<string>();
        var seen = new System.Collections.Concurrent.ConcurrentDictionary<int, int>();

        await Parallel.ForEachAsync(Bodies.Sample(2000), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (body, _) =>
        {
            var answer = await Ingress.SignupAsync(body);
            seen.AddOrUpdate((int)answer.StatusCode, 1, (_, count) => count + 1);
            if ((int)answer.StatusCode is not (202 or 400))
                wrong.Add($"{(int)answer.StatusCode}: {Convert.ToBase64String(body)}");
        });

        Assert.Empty(wrong);
        // Both happen, or the bodies are not what this test is about.
        Assert.InRange(seen.GetValueOrDefault(202), 20, 1500);
        Assert.InRange(seen.GetValueOrDefault(400), 500, 1980);
    }

    /// <summary>Valid bodies with texts of any kind, whole or damaged: cut off, a byte changed, a piece twice, and plain noise.</summary>
    static Gen<byte[]> Bodies
    {
        get
        {
            var noise = ArbMap.Default.GeneratorFor<byte[]>();
            var text = Gen.OneOf(
                ArbMap.Default.GeneratorFor<string>().Select(any => any ?? ""),
                Gen.Elements("a@b.co", "Acme", "\0", "\ufffe\uffff", "\ud800", "\U0010ffff@\U0010ffff.co", "e\u0301@b.co", "\u0130@\u1e9e.co", "';drop table--", "12345678"));
            var value = Gen.OneOf(text.Select(any => System.Text.Json.JsonSerializer.Serialize(any)), Gen.Elements("null", "7", "1e999", "[]", "{}", "true", "NaN"));
            var email = Gen.OneOf(value, Gen.Fresh(() => $"\"{Some.Email}\""));
            var name = Gen.OneOf(value, Gen.Constant("\"Acme\""));
            var whole = email.SelectMany(_ => name, (e, n) => Encoding.UTF8.GetBytes($$"""{"email":{{e}},"org_name":{{n}}}"""));
            var damaged = whole.SelectMany(_ => Gen.Choose(0, 1000).Two().SelectMany(_ => Gen.Choose(0, 3), (at, how) => (at.Item1, at.Item2, how)), (body, damage) =>
            {
                var at = damage.Item1 % body.Length;
                return damage.how switch
                {
                    0 => body[..at],
                    1 => [.. body[..at], (byte)damage.Item2, .. body[(at + 1)..]],
                    2 => [.. body[..at], .. body[(at / 2)..]],
                    _ => [.. body[..at], (byte)damage.Item2, .. body[at..]],
                };
            });
            return Gen.Frequency((4, whole), (5, damaged), (1, noise));
        }
    }
}
