using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Pulse.Ingress.Signups;

/// <summary>What a signup must look like.</summary>
/// <remarks>A character is a Unicode code point, as in JSON Schema and in Postgres' <c>char_length</c>: an emoji of one is one.</remarks>
static class SignupRules
{
    public const int EmailMost = 254;
    public const int PasswordLeast = 8;
    public const int PasswordMost = 1024;
    public const int OrgNameLeast = 3;
    public const int OrgNameMost = 64;

    /// <summary>Reads the body; null when it is not a JSON object with texts where texts belong.</summary>
    public static SignupRequest? Parse(ReadOnlySpan<byte> body)
    {
        // The reader checks only the texts that it decodes, and those of unknown members are skipped.
        if (!Utf8.IsValid(body))
            return null;

        try
        {
            return JsonSerializer.Deserialize(body, SignupJson.Default.SignupRequest);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The signup, or null and what is wrong: field → messages, in the order email, password, org_name.</summary>
    public static ValidSignup? Validate(SignupRequest request, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var email = request.Email?.Trim() ?? "";
        var orgName = request.OrgName?.Trim() ?? "";

        if (EmailMistake(email) is { } inEmail)
            errors["email"] = [inEmail];
        if (request.Password is { } password && PasswordMistake(password) is { } inPassword)
            errors["password"] = [inPassword];
        if (OrgNameMistake(orgName) is { } inOrgName)
            errors["org_name"] = [inOrgName];

        return errors.Count > 0
            ? null
            : new ValidSignup { Email = email, EmailNormalized = Normalize(email), OrgName = orgName, Password = request.Password };
    }

    /// <summary>Trimmed and in small letters.</summary>
    /// <remarks>
    /// The rest of it, NFC, is done by the statement that stores it: a process without ICU, as ours are, can't.
    /// </remarks>
    public static string Normalize(string email) => email.Trim().ToLowerInvariant();

    /// <summary>The code of an answer that tells of these errors: the first one's.</summary>
    public static string Code(OrderedDictionary<string, string[]> errors) => $"invalid_{errors.GetAt(0).Key}";

    static string? EmailMistake(string email)
    {
        if (email.Length == 0)
            return "An email address is required.";
        if (Length(email) > EmailMost)
            return $"An email address has at most {EmailMost} characters.";
        if (email.EnumerateRunes().Any(rune => Rune.IsWhiteSpace(rune) || IsControl(rune)))
            return "An email address has no spaces and no control characters.";
        if (email.Split('@') is not [{ Length: > 0 }, var domain])
            return "An email address has one @ with something before it.";
        if (domain.Split('.') is not { Length: > 1 } labels || labels.Any(label => label.Length == 0))
            return "An email address ends with a domain such as example.org.";

        return null;
    }

    static string? PasswordMistake(string password) =>
        Length(password) is < PasswordLeast or > PasswordMost ? $"A password has {PasswordLeast} to {PasswordMost} characters."
        : password.Contains('\0', StringComparison.Ordinal) ? "A password has no NUL."
        : null;

    static string? OrgNameMistake(string name)
    {
        if (Length(name) is < OrgNameLeast or > OrgNameMost)
            return $"An organization's name has {OrgNameLeast} to {OrgNameMost} characters.";
        if (name.AsSpan().ContainsAny('/', '\\'))
            return "An organization's name has no / and no \\.";
        if (name.EnumerateRunes().Any(IsControlInName))
            return "An organization's name has no control characters.";
        if (name.AsSpan().Trim('.').IsEmpty)
            return "An organization's name is more than dots.";

        return null;
    }

    static int Length(string text) => text.EnumerateRunes().Count();

    // Format characters are the invisible ones, such as a zero width space: two addresses that look the same.
    static bool IsControl(Rune rune) => Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format;

    // A name keeps the joiners that emoji and several scripts are written with, but not what turns the reading direction or breaks a line.
    static bool IsControlInName(Rune rune) =>
        Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        || rune.Value is 0x061C or 0x200E or 0x200F or (>= 0x202A and <= 0x202E) or (>= 0x2066 and <= 0x2069);
}
