using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Ingress.Signups;

namespace Pulse.Tests.Signups;

public sealed class SignupRulesTests
{
    [Theory]
    [InlineData("a@b.co")]
    [InlineData("  a@b.co\t")]
    [InlineData("o'brien+tag@sub.example.co.uk")]
    [InlineData("\u00fcser@ex\u00e4mple.org")]
    [InlineData("\u65e5\u672c@\u4f8b\u3048.jp")]
    public void An_email_is_accepted(string email) => Assert.Empty(Errors(email: email));

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("a")]
    [InlineData("a@")]
    [InlineData("@b.co")]
    [InlineData("a@b")]
    [InlineData("a@b@c.co")]
    [InlineData("a@.co")]
    [InlineData("a@b..co")]
    [InlineData("a@b.co.")]
    [InlineData("a b@c.co")]
    [InlineData("a@b .co")]
    [InlineData("a\0@b.co")]
    [InlineData("a\r\nBcc:x@b.co")]
    [InlineData("a\u007f@b.co")]
    [InlineData("a\u0085@b.co")]
    [InlineData("a\u00a0@b.co")]
    [InlineData("a\u200b@b.co")]
    [InlineData("a\u202e@b.co")]
    [InlineData("a\u2028@b.co")]
    public void An_email_is_refused(string? email) => Assert.Equal("invalid_email", SignupRules.Code(Errors(email: email)));

    [Theory]
    [InlineData("Acme")]
    [InlineData("A.B")]
    [InlineData("  abc  ")]
    [InlineData("M\u00fcller & S\u00f6hne GmbH")]
    [InlineData("\U0001f469\u200d\U0001f680")]
    public void An_organization_name_is_accepted(string name) => Assert.Empty(Errors(orgName: name));

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("ab")]
    [InlineData(" ab ")]
    [InlineData("...")]
    [InlineData("a/b")]
    [InlineData("a\\b")]
    [InlineData("a\0b")]
    [InlineData("a\nb")]
    [InlineData("a\u009fb")]
    [InlineData("a\u202eb")]
    [InlineData("a\u2028b")]
    public void An_organization_name_is_refused(string? name) => Assert.Equal("invalid_org_name", SignupRules.Code(Errors(orgName: name)));

    [Theory]
    [InlineData("")]
    [InlineData("1234567")]
    [InlineData("1234567\0")]
    public void A_password_is_refused(string password) => Assert.Equal("invalid_password", SignupRules.Code(Errors(password: password)));

    [Fact]
    public void Lengths_have_their_bounds_and_count_whole_characters()
    {
        // One of four bytes, and two UTF-16 units: a character all the same.
        var letter = Gen.Elements("x", "\u00e9", "\U0001f600");
        Check(letter, Gen.Choose(1, 300), (text, length) =>
            Errors(email: Repeat(text, length) + "@b.co").Count == 0 == length + 5 <= 254);
        Check(letter, Gen.Choose(1, 100), (text, length) =>
            Errors(orgName: Repeat(text, length)).Count == 0 == length is >= 3 and <= 64);
        Check(letter, Gen.OneOf(Gen.Choose(0, 20), Gen.Choose(1015, 1035)), (text, length) =>
            Errors(password: Repeat(text, length)).Count == 0 == length is >= 8 and <= 1024);

        static void Check(Gen<string> letters, Gen<int> lengths, Func<string, int, bool> holds) =>
            FsCheck.Check.One(Config.QuickThrowOnFailure.WithMaxTest(500),
                Prop.ForAll(letters.ToArbitrary(), lengths.ToArbitrary(), holds));
    }

    [Fact]
    public void Every_mistake_is_named_and_the_code_is_that_of_the_first()
    {
        Prop.ForAll<bool, bool, bool>((email, password, orgName) =>
        {
            var errors = Errors(email ? "a@b.co" : "a", password ? "12345678" : "1", orgName ? "Acme" : "/");
            string[] expected = [.. email ? [] : (string[])["email"], .. password ? [] : (string[])["password"], .. orgName ? [] : (string[])["org_name"]];
            return errors.Keys.SequenceEqual(expected)
                && errors.Values.All(messages => messages.All(message => message.Length > 0))
                && (expected.Length == 0 || SignupRules.Code(errors) == $"invalid_{expected[0]}");
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_text_is_either_accepted_or_refused_by_name()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll<string, string, string>((email, password, orgName) =>
        {
            var valid = SignupRules.Validate(new SignupRequest { Email = email, Password = password, OrgName = orgName }, out var errors);
            return valid is null ? errors.Count > 0 : errors.Count == 0;
        }));
    }

    [Fact]
    public void Normalizing_twice_is_normalizing_once() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll<NonNull<string>>(text =>
            SignupRules.Normalize(SignupRules.Normalize(text.Get)) == SignupRules.Normalize(text.Get)));

    [Fact]
    public void Any_bytes_are_read_or_refused_without_an_exception() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll<byte[]>(bytes =>
        {
            _ = SignupRules.Parse(bytes ?? []);
            return true;
        }));

    [Fact]
    public void Fingerprints_tell_bodies_apart_and_depend_on_the_key()
    {
        Prop.ForAll<string, string, string>((email, orgName, password) =>
        {
            var (one, other) = (IdempotencyKey.Parse("one")!, IdempotencyKey.Parse("other")!);
            var body = new SignupRequest { Email = email, OrgName = orgName, Password = password };
            // The same characters, cut differently.
            var shifted = new SignupRequest { Email = email + orgName, OrgName = "", Password = password };
            return one.Fingerprint(body).SequenceEqual(one.Fingerprint(body))
                && !one.Fingerprint(body).SequenceEqual(other.Fingerprint(body))
                && ((email, orgName) == (shifted.Email, shifted.OrgName) || !one.Fingerprint(body).SequenceEqual(one.Fingerprint(shifted)));
        }).QuickCheckThrowOnFailure();

        Assert.NotEqual(
            IdempotencyKey.Parse("k")!.Fingerprint(new SignupRequest { Email = "a", OrgName = "b" }),
            IdempotencyKey.Parse("k")!.Fingerprint(new SignupRequest { Email = "a", OrgName = "b", Password = "" }));
    }

    static OrderedDictionary<string, string[]> Errors(string? email = "a@b.co", string? password = null, string? orgName = "Acme")
    {
        var valid = SignupRules.Validate(new SignupRequest { Email = email, Password = password, OrgName = orgName }, out var errors);
        Assert.Equal(errors.Count > 0, valid is null);
        return errors;
    }

    static string Repeat(string text, int times) => new StringBuilder().Insert(0, text, times).ToString();
}
