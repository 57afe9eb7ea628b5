/**
 * Tags as XMP side-cars: small files beside photos, which photo managers read as keywords.
 *
 * - How properties are written: ISO 16684-1:2019 (XMP, part 1), clause 7.
 * - `dc:subject`, an unordered array of keywords: clause 8.3 (Dublin Core). `xmp:CreatorTool`, `xmp:MetadataDate`:
 *   clause 8.4.
 * - A file of its own beside the photo, of the same name but `.xmp`, a whole XML document with its declaration:
 *   XMP Specification (Adobe, September 2005), chapter 3, "External Storage of Metadata".
 * @module
 */

/** @type {Record<string, string>} */
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

/** What XML 1.0 (section 2.2, Char) does not have at all, not even escaped. */
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;

/** A text as XML, whatever is in it. @param {string} text */
export const xmlText = (text) => (
  text.replace(NOT_XML, '').replace(/[&<>"']/g, (c) => ENTITIES[c]));

const TOOL = 'Fanlight Studio';

/**
 * The text of a side-car.
 * @param {string[]} keywords none gives an empty bag
 * @param {{ tool?: string, at?: Date }} [options] tool: what wrote it; at: when
 */
export const sidecar = (keywords, { tool = TOOL, at = new Date() } = {}) => (
  written(keywords.map(xmlText), xmlText(tool), at.toISOString()));

/** @param {string[]} keywords as XML @param {string} tool @param {string} at */
const written = (keywords, tool, at) => {
  const items = keywords.map((word) => `\n     <rdf:li>${word}</rdf:li>`).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/">
   <xmp:CreatorTool>${tool}</xmp:CreatorTool>
   <xmp:MetadataDate>${at}</xmp:MetadataDate>
   <dc:subject>
    <rdf:Bag>${items}
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
`;
};

/**
 * Whether a side-car is, letter for letter, what we write for a photo: one keyword and a date. Only such a one may be
 * written again: other programs keep our name in a file to which they have added theirs.
 * @param {string} text
 */
export const isOurs = (text) => {
  const [, at] = /<xmp:MetadataDate>([\dTZ:.-]+)<\/xmp:MetadataDate>/.exec(text) ?? [];
  const [, word] = /<rdf:li>([^<>]*)<\/rdf:li>/.exec(text) ?? [];
  return at !== undefined && word !== undefined && text === written([word], TOOL, at);
};

/**
 * Where the side-cars of photos belong: `beach/IMG.jpg` gives `beach/IMG.xmp`. Photos that differ in their
 * ending only (`IMG.jpg`, `IMG.png`) keep it: `IMG.jpg.xmp`. Disks that do not tell capitals apart are heeded.
 * @param {string[]} paths @returns {string[]} one each
 */
export const sidecarPaths = (paths) => {
  const short = paths.map((path) => path.replace(/(?<=[^/])\.[^./]*$/, ''));
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const path of short) times.set(path.toLowerCase(), (times.get(path.toLowerCase()) ?? 0) + 1);
  return paths.map((path, i) => `${times.get(short[i].toLowerCase()) === 1 ? short[i] : path}.xmp`);
};
