using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Ingress.DeadLetters;

namespace Pulse.Tests.DeadLetters;

/// <summary>Whatever is planted wherever does not come through; what an operator needs does.</summary>
public sealed class MaskingTests
{
    [Fact]
    public void A_secret_of_any_shape_planted_anywhere_in_a_payload_does_not_come_through() => Prop.ForAll(
        (from secret in Secrets from place in Gen.Choose(0, Payloads.Length - 1) select (secret, place)).ToArbitrary(),
        planted =>
        {
            var body = JsonSerializer.SerializeToUtf8Bytes(Payloads[planted.place](planted.secret));
            Hides(planted.secret, FieldMasking.Body(body) ?? "");
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));

    [Fact]
    public void A_secret_of_any_shape_planted_in_a_header_does_not_come_through() => Prop.ForAll(
        (from secret in Secrets from name in Gen.Elements(HeaderNames) from asName in Gen.Elements(false, false, false, true) select (secret, name, asName)).ToArbitrary(),
        planted =>
        {
            var headers = new JsonObject
            {
                [planted.asName ? planted.secret : planted.name] = planted.secret,
                ["x-death"] = new JsonArray(new JsonObject { ["queue"] = planted.secret, ["token"] = planted.secret, ["count"] = 3 }),
            };
            foreach (var (name, value) in FieldMasking.Headers(JsonSerializer.SerializeToElement(headers)))
                Hides(planted.secret, name + "\n" + value);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));

    [Fact]
    public void A_secret_of_any_shape_planted_in_an_exception_does_not_come_through() => Prop.ForAll(
        (from secret in Secrets from text in Gen.Elements(Sentences) select (secret, text)).ToArbitrary(),
        planted =>
        {
            var text = planted.text.Replace("{0}", planted.secret, StringComparison.Ordinal);
            Hides(planted.secret, Masking.Text(text)!);
            Hides(planted.secret, Masking.Stack(text)!);
            Hides(planted.secret, Masking.TypeName(text)!);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));

    [Fact]
    public void Any_bytes_are_masked_without_a_failure() => Prop.ForAll<byte[], string>((bytes, text) =>
    {
        FieldMasking.Body(bytes);
        Masking.Text(text);
        Masking.Stack(text);
        Masking.TypeName(text);
        FieldMasking.Path(text ?? "");
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    [Fact]
    public void Masking_what_is_masked_changes_nothing() => Prop.ForAll(
        (from secret in Secrets from text in Gen.Elements(Sentences) select text.Replace("{0}", secret, StringComparison.Ordinal)).ToArbitrary(),
        text => Assert.Equal(Masking.Text(text), Masking.Text(Masking.Text(text)))).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Theory]
    [InlineData("The price price_1NQ8 is unknown.", "The price price_1NQ8 is unknown.")]
    [InlineData("23505: duplicate key value violates unique constraint \"users_email\"", "23505: duplicate key value violates unique constraint \"users_email\"")]
    [InlineData("Customer ada@example.com can't pay", "Customer ••• can't pay")]
    [InlineData("Could not connect to Server=db;Password=hunter2", "Could not connect to Server=•••")]
    [InlineData("Exception while reading from stream: timed out after 30s", "Exception while reading from stream: timed out after 30s")]
    [InlineData("There is no operation 01900000-0000-7000-8000-000000000000.", "There is no operation •••.")]
    [InlineData("Ada Lovelace lives at 12 Example Street 94110", "••• lives at 12 Example •••")]
    [InlineData("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP", "•••")]
    public void Prose_shows_the_words_that_are_known(string text, string shown) => Assert.Equal(shown, Masking.Text(text));

    [Fact]
    public void A_stack_shows_where_it_was_thrown_and_not_where_it_was_built()
    {
        const string stack = """
               at Pulse.Worker.Billing.CustomerSync.<FetchAsync>d__12.MoveNext() in /home/ada/pulse/src/Pulse.Worker/Billing/CustomerSync.cs:line 118
            --- End of stack trace from previous location ---
               at MassTransit.Middleware.ConsumerMessageFilter`2.Send(ConsumeContext`1 context, IPipe`1 next)
               at Some.Qx7f9.Method(String token) in C:\Users\Grace\x.cs:line 4
            Message: key sk_live_51Hx is wrong
            """;

        var shown = Masking.Stack(stack)!;

        Assert.Contains("at Pulse.Worker.Billing.CustomerSync.<FetchAsync>d__12.MoveNext() in CustomerSync.cs:line 118", shown, StringComparison.Ordinal);
        Assert.Contains("at MassTransit.Middleware.ConsumerMessageFilter`2.Send(ConsumeContext`1 context, IPipe`1 next)", shown, StringComparison.Ordinal);
        Assert.Contains("--- End of stack trace from previous location ---", shown, StringComparison.Ordinal);
        foreach (var hidden in (string[])["ada", "Grace", "Qx7f9", "sk_live"])
            Assert.DoesNotContain(hidden, shown, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_message_of_ours_shows_its_ids_times_and_types_and_nothing_that_nobody_knows()
    {
        var org = Guid.CreateVersion7();
        var envelope = new JsonObject
        {
            ["messageId"] = org.ToString(),
            ["destinationAddress"] = "rabbitmq://user:hunter2@10.1.2.3/pulse/billing-sync?durable=true",
            ["messageType"] = new JsonArray("urn:message:Pulse.Contracts.Billing:SyncStripeCustomer"),
            ["message"] = new JsonObject { ["customerId"] = "cus_N1", ["orgId"] = org.ToString(), ["acceptedAt"] = "2026-11-21T12:00:00+00:00", ["email"] = "ada@example.com", ["version"] = 7, ["card"] = 4242424242424242 },
            ["host"] = new JsonObject { ["machineName"] = "ada-laptop", ["massTransitVersion"] = "8.5.12.0", ["processId"] = 4711 },
        };

        var shown = JsonNode.Parse(FieldMasking.Body(JsonSerializer.SerializeToUtf8Bytes(envelope))!)!;

        Assert.Equal(org.ToString(), (string?)shown["messageId"]);
        Assert.Equal("…/billing-sync", (string?)shown["destinationAddress"]);
        Assert.Equal("urn:message:Pulse.Contracts.Billing:SyncStripeCustomer", (string?)shown["messageType"]![0]);
        Assert.Equal(("cus_N1", org.ToString(), "2026-11-21T12:00:00+00:00", 7), ((string?)shown["message"]!["customerId"], (string?)shown["message"]!["orgId"], (string?)shown["message"]!["acceptedAt"], (int)shown["message"]!["version"]!));
        Assert.Equal(["customerId", "orgId", "acceptedAt", "••• 1", "version", "••• 2"], shown["message"]!.AsObject().Select(field => field.Key));
        Assert.Equal(("•••", "8.5.12.0", 4711), ((string?)shown["host"]!["machineName"], (string?)shown["host"]!["massTransitVersion"], (int)shown["host"]!["processId"]!));
    }

    [Fact]
    public void What_is_no_json_is_not_shown_at_all() => Assert.Null(FieldMasking.Body("token=hunter2"u8.ToArray()));

    [Fact]
    public void An_edit_shows_where_and_masks_what()
    {
        var (path, before, after) = FieldMasking.Change("/customer_id", JsonSerializer.SerializeToElement("cus_1"), JsonSerializer.SerializeToElement("ada@example.com"));
        Assert.Equal(("/customer_id", "cus_1", "•••"), (path, before, after));
        Assert.Equal("/•••/0", FieldMasking.Path("/ada@example.com/0"));
    }

    // The whole of it, and any longer part: a half of a key is a start.
    static void Hides(string secret, string shown)
    {
        Assert.DoesNotContain(secret, shown, StringComparison.OrdinalIgnoreCase);
        foreach (var part in secret.Split([' ', '@', '.', ':', '/', '-', '_', '=', ';', ','], StringSplitOptions.RemoveEmptyEntries).Where(part => part.Length >= 8 && part.Any(char.IsDigit)))
            Assert.DoesNotContain(part, shown, StringComparison.OrdinalIgnoreCase);
    }

    static Gen<string> Of(string letters, int least, int most) =>
        from length in Gen.Choose(least, most) from text in Gen.Elements(letters.ToCharArray()).ArrayOf(length) select new string(text);

    const string Hex = "0123456789abcdef";
    const string Base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const string Letters = "abcdefghijklmnopqrstuvwxyz";

    static Gen<string> Secrets => Gen.OneOf(
        from name in Of(Letters, 4, 10) from host in Of(Letters, 4, 10) select $"{name}@{host}.example",
        from name in Of(Letters, 4, 8) from tag in Of(Letters, 3, 6) select $"{name}.q{tag}+x9@mail.example.org",
        from prefix in Gen.Elements("sk_live_", "rk_live_", "whsec_", "pulse_", "ghp_", "xoxb-", "AKIA", "pk_test_") from rest in Of(Base64[..62], 16, 40) select prefix + rest,
        Of(Hex, 16, 64),
        from bytes in Of(Base64, 20, 60) select bytes + "==",
        from head in Of(Base64[..62], 10, 20) from body in Of(Base64[..62], 10, 30) from sign in Of(Base64[..62], 20, 43) select $"eyJ{head}.eyJ{body}.{sign}",
        from hash in Of(Base64[..62], 53, 53) select "$2b$12$" + hash,
        from number in Of("0123456789", 10, 19) select number,
        from number in Of("0123456789", 9, 9) select "+49 170 " + number,
        from country in Gen.Elements("DE", "GB", "FR") from number in Of("0123456789", 20, 20) select country + number,
        from password in Of(Letters + "0123456789!#%&*", 8, 20) from digit in Of("0123456789", 3, 5) select "Zq" + digit + password,
        from password in Of(Base64[..62], 10, 20) select $"Host=db;Username=app;Password={password}9x4",
        from user in Of(Letters, 5, 8) from password in Of(Base64[..62], 10, 20) select $"amqp://{user}:{password}9x4@broker/vhost",
        from first in Gen.Elements("Zbigniew", "Xochitl", "Ngozi", "Þórunn", "Ødegård") from last in Gen.Elements("Wojciechowski", "Quetzalli", "Okonkwo", "Guðmundsdóttir") select $"{first} {last}",
        Gen.Constant(0).Select(_ => Guid.NewGuid().ToString("N")),
        from a in Of("0123456789", 3, 3) from b in Of("0123456789", 2, 2) from c in Of("0123456789", 4, 4) select $"{a}-{b}-{c}",
        from word in Of("абвгдежзиклмнопрст", 6, 12) select word);

    static readonly string[] HeaderNames =
    [
        "Authorization", "X-Api-Key", "Cookie", "MT-Fault-Message", "MT-Fault-ExceptionType", "MT-Fault-StackTrace", "MT-Fault-InputAddress", "MT-Fault-ConsumerType", "MT-Reason",
        "MT-Host-MachineName", "MT-Fault-Timestamp", "MT-Activity-Id", "Content-Type", "Pulse-Replay-Id", "Pulse-Replay-Attempt", "x-first-death-queue", "messageId",
    ];

    static readonly string[] Sentences =
    [
        "{0}", "The key {0} is wrong", "Key (email)=({0}) already exists.", "\"{0}\"", "failed:{0}", "token={0};", "at Pulse.Worker.{0}.Run()", "   at {0}(String value) in /src/{0}.cs:line 3",
        "System.InvalidOperationException: {0}\n   at Pulse.Worker.Billing.CustomerSync.Run(String {0})", "[{0}]", "<{0}>", "'{0}',", "User {0}: not found", "--- {0} ---", "{0}{0}", "price_x {0}", "(org_id)=({0})",
        "https://example.org/{0}?key={0}", "x{0}x", "\t{0}\r\n", "{0}: broken", "Exception({0})", "is {0}?", "could not read {0}, tried 3 times",
    ];

    // Where it can stand in a body: known fields and unknown ones, as a value, as a name, deep, in a list, in prose.
    static readonly Func<string, JsonNode>[] Payloads =
    [
        secret => new JsonObject { ["message"] = new JsonObject { ["password"] = secret } },
        secret => new JsonObject { ["message"] = new JsonObject { ["orgId"] = secret } },
        secret => new JsonObject { ["message"] = new JsonObject { ["org_id"] = secret, ["customerId"] = secret, ["eventId"] = secret } },
        secret => new JsonObject { ["message"] = new JsonObject { ["acceptedAt"] = secret, ["version"] = secret, ["reason"] = secret, ["status"] = secret, ["fromStatus"] = secret } },
        secret => new JsonObject { ["message"] = new JsonObject { [secret] = 1 } },
        secret => new JsonObject { ["message"] = new JsonObject { [secret] = secret } },
        secret => new JsonObject { ["message"] = new JsonArray(secret, new JsonObject { ["name"] = secret }) },
        secret => new JsonObject { ["messageType"] = new JsonArray("urn:message:" + secret) },
        secret => new JsonObject { ["sourceAddress"] = $"rabbitmq://{Uri.EscapeDataString(secret)}/x/{secret}?t={secret}" },
        secret => new JsonObject { ["host"] = new JsonObject { ["machineName"] = secret, ["processName"] = secret, ["assembly"] = secret, ["frameworkVersion"] = secret } },
        secret => new JsonObject { ["headers"] = new JsonObject { ["Authorization"] = "Bearer " + secret, ["MT-Fault-Message"] = $"wrong key {secret}" } },
        secret => new JsonObject { ["a"] = new JsonObject { ["b"] = new JsonObject { ["c"] = new JsonArray(new JsonArray(secret)) } } },
        secret => JsonValue.Create(secret),
        secret => new JsonObject { ["exceptions"] = new JsonArray(new JsonObject { ["message"] = secret, ["stackTrace"] = $"   at A.B({secret})", ["exceptionType"] = secret }) },
        secret => new JsonObject { ["version"] = long.TryParse(secret, out var number) && number > 999_999_999 ? number : 1 },
        secret => new JsonObject { ["message"] = new JsonObject { ["ids"] = new JsonArray(secret), ["capabilities"] = new JsonArray(secret), ["limits"] = new JsonObject { [secret] = 5 } } },
    ];
}
