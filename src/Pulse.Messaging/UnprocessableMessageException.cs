namespace Pulse.Messaging;

/// <summary>
/// No repetition will make this message succeed. It is dead-lettered at once, without a retry.
/// </summary>
/// <remarks>Derive one per cause: an operator groups dead letters by the type's name.</remarks>
public class UnprocessableMessageException(string message) : Exception(message);
