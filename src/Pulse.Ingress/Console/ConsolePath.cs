namespace Pulse.Ingress.Console;

/// <summary>Addresses of the console.</summary>
static class ConsolePath
{
    public const string Root = "/console";
    public const string SignIn = Root + "/sign-in";
    public const string SignOut = Root + "/sign-out";
    public const string Assets = Root + "/assets";

    /// <summary>Where to go after signing in: an address of the console, whatever was asked for.</summary>
    public static string After(string? next) =>
        next is { Length: <= 2000 } && (next == Root || next.StartsWith(Root + "/", StringComparison.Ordinal))
        && !next.StartsWith(SignIn, StringComparison.Ordinal) && !next.StartsWith(SignOut, StringComparison.Ordinal)
        && !next.Contains('\\', StringComparison.Ordinal) && !next.Any(char.IsControl)
            ? next
            : Root;

    /// <summary>An address with a query; what is null or empty is left out.</summary>
    public static string With(string path, params IEnumerable<(string Name, string? Value)> query)
    {
        var pairs = query.Where(pair => !string.IsNullOrEmpty(pair.Value)).Select(pair => $"{pair.Name}={Uri.EscapeDataString(pair.Value!)}").ToList();
        return pairs.Count == 0 ? path : $"{path}?{string.Join('&', pairs)}";
    }
}
