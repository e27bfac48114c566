/** Where the brace that closes an expression stands; braces in strings and comments do not count. Undefined when it is missing. */
export function closingBrace(text: string, start: number): number | undefined {
  let open = 1;
  for (let at = start; at < text.length; at++) {
    const character = text[at]!;
    if (character === "{") open++;
    else if (character === "}" && --open === 0) return at;
    else if (character === '"' || character === "'") at = endOfString(text, at);
    else if (text.startsWith("//", at)) at = endOfLine(text, at);
  }
  return undefined;
}

// A backslash hides the next character in raw strings too: that is how the CEL reader looks for their end.
function endOfString(text: string, start: number): number {
  const quote = text[start]!;
  const triple = quote.repeat(3);
  const closing = text.startsWith(triple, start) ? triple : quote;
  for (let at = start + closing.length; at < text.length; at++) {
    if (text.startsWith(closing, at)) return at + closing.length - 1;
    if (text[at] === "\\") at++;
  }
  return text.length;
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end === -1 ? text.length : end;
}
