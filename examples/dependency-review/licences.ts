/** SPDX names by what they ask of those who use the work. */
export const licences = {
  permissive: words(
    "MIT MIT-0 ISC Apache-2.0 BSD-2-Clause BSD-3-Clause 0BSD BlueOak-1.0.0 CC0-1.0 CC-BY-4.0 Unlicense Zlib Python-2.0 WTFPL",
  ),
  weakCopyleft: words("MPL-2.0 LGPL-2.1 LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later EPL-2.0 CDDL-1.0"),
  strongCopyleft: words(
    "GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0 GPL-3.0-only GPL-3.0-or-later AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later SSPL-1.0",
  ),
};

function words(text: string): string[] {
  return text.split(" ");
}
