namespace Pulse.Messaging.Rehearsing;

/// <summary>
/// Everything that this consumer, or this saga, does is in its message's transaction: no call to the outside, no connection of its own, nothing
/// that a rollback does not undo. So a message may be rehearsed.
/// </summary>
/// <remarks>Who doesn't say so is never rehearsed.</remarks>
[AttributeUsage(AttributeTargets.Class)]
public sealed class RehearsableAttribute : Attribute;
