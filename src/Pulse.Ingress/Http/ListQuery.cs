using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Pulse.Ingress.Http;

/// <summary>What the query of every list may have. What is wrong with it goes to <c>errors</c>: field → messages.</summary>
static class ListQuery
{
    public const int LimitDefault = 50;
    public const int LimitMost = 200;

    public static int Limit(IQueryCollection query, OrderedDictionary<string, string[]> errors)
    {
        if (One(query, "limit", errors) is not { } text)
            return LimitDefault;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit is >= 1 and <= LimitMost)
            return limit;

        errors["limit"] = [$"limit is a whole number from 1 to {LimitMost}."];
        return LimitDefault;
    }

    /// <summary>The one value of a field. An empty one is as good as none: that is how a form sends what was left out.</summary>
    public static string? One(IQueryCollection query, string name, OrderedDictionary<string, string[]> errors)
    {
        if (query[name] is var values && StringValues.IsNullOrEmpty(values))
            return null;
        if (values is [{ } only])
            return only;

        errors[name] = [$"{name} stands there more than once."];
        return null;
    }

    /// <summary>The refusal of a query.</summary>
    public static Problem Invalid(OrderedDictionary<string, string[]> errors) =>
        Problem.InvalidRequest(string.Join(' ', errors.Values.SelectMany(messages => messages))) with { Errors = errors };
}
