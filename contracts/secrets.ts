/** Whether what has this name (a variable, a header) is likely to be secret. */
export const isSecretName = (name: string): boolean => /key|token|secret|passw|credential|^(proxy-)?authorization$|^cookie$/i.test(name);

/** Whether a header or a field of a query only lets a call pass: with another value it is the same call. */
export const isCredentialName = (name: string): boolean =>
  /^(proxy-)?authorization$|^cookie$|^(x-)?api[-_]?key$|^((x-)?(access|auth)[-_]?)?token$|^(client[-_]?)?secret$|^passw(or)?d$/i.test(name);

/** What nobody may see of a URL: its password, alone and with the user's name, and the values of its query. */
export function secretsOfUrl(text: string): string[] {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return [];
  const { username, password, searchParams } = new URL(text);
  const raw = password === "" ? [] : [password, decoded(password), `${decoded(username)}:${decoded(password)}`];
  return [...raw, ...searchParams.values()];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
