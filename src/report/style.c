/* The look of reports: one column at a phone's width, as many as fit elsewhere; dark where the reader's system is; black on white in
   print. Lines differ in dashes and marks and areas in brightness, so colours may go. */
#include "report/page.h"

const char *const fari_report_style[] = {
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1a1d21;--mute:#57606a;--edge:#d0d7de;--panel:#f5f7f9;"
    "--s0:#0b5cad;--s1:#a63c00;--s2:#1a6b33;--s3:#7a3fb5;--s4:#6b5900;--s5:#a1195b;--s6:#006d77;--s7:#444c56;"
    "--a0:#3c4654;--a1:#7a8797;--a2:#aeb9c5;--a3:#d3dae1;--a4:#e9edf0}\n",
    "@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ec;--mute:#a0a8b1;--edge:#3a424b;--panel:#1d2228;"
    "--s0:#6cb4ff;--s1:#ffa066;--s2:#7cd992;--s3:#c9a2ff;--s4:#e0c74c;--s5:#ff8fc0;--s6:#5fd3de;--s7:#c5ccd3;"
    "--a0:#dfe5ea;--a1:#a9b4bf;--a2:#76828e;--a3:#4f5963;--a4:#363e46}}\n",
    "*{box-sizing:border-box}\n",
    "html{-webkit-text-size-adjust:100%}\n",
    "body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:1rem/1.45 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;overflow-wrap:break-word}\n",
    "h1{font-size:1.45rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .6rem;"
    "border-bottom:1px solid var(--edge);padding-bottom:.2rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}\n",
    "p{margin:.4rem 0}.mute,.note,figcaption,footer{color:var(--mute)}.note,footer{font-size:.85rem}\n",
    "nav{font-size:.9rem;margin:.5rem 0}nav a{margin-right:.9rem;white-space:nowrap}a{color:var(--s0)}\n",
    ".warn{border:1px solid var(--fg);border-left-width:.4rem;padding:.4rem .7rem;margin:.8rem 0}\n",
    ".keys{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.5rem;margin:.8rem 0;padding:0}\n",
    ".keys div{background:var(--panel);border:1px solid var(--edge);border-radius:.4rem;padding:.45rem .6rem}\n",
    ".keys dt{color:var(--mute);font-size:.8rem}.keys dd{margin:0;font-size:1.1rem;font-weight:600;"
    "font-variant-numeric:tabular-nums}\n",
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:1rem 1.4rem}\n",
    "figure{margin:0;break-inside:avoid;min-width:0}figcaption{font-weight:600;font-size:.92rem;color:var(--fg)}\n",
    "svg{display:block;width:100%;height:auto;font-size:12px}svg text{fill:var(--mute)}\n",
    ".grid{stroke:var(--edge);stroke-width:1;fill:none}.axis{stroke:var(--mute);stroke-width:1;fill:none}\n",
    ".l{fill:none;stroke-width:1.8;stroke-linejoin:round}.m{stroke-width:1.4}.band{stroke:none;opacity:.16}\n",
    ".l.s0,.m.s0{stroke:var(--s0)}.l.s1,.m.s1{stroke:var(--s1)}.l.s2,.m.s2{stroke:var(--s2)}"
    ".l.s3,.m.s3{stroke:var(--s3)}.l.s4,.m.s4{stroke:var(--s4)}.l.s5,.m.s5{stroke:var(--s5)}"
    ".l.s6,.m.s6{stroke:var(--s6)}.l.s7,.m.s7{stroke:var(--s7)}\n",
    ".m.s0,.band.s0{fill:var(--s0)}.m.s1,.band.s1{fill:var(--s1)}.m.s2,.band.s2{fill:var(--s2)}"
    ".m.s3,.band.s3{fill:var(--s3)}.m.s6,.band.s6{fill:var(--s6)}.band.s4{fill:var(--s4)}.band.s5{fill:var(--s5)}"
    ".band.s7{fill:var(--s7)}.m.s4,.m.s5,.m.s7{fill:none}\n",
    ".layer{stroke:var(--bg);stroke-width:.4}.a0{fill:var(--a0)}.a1{fill:var(--a1)}.a2{fill:var(--a2)}"
    ".a3{fill:var(--a3)}.a4{fill:var(--a4)}.split{stroke:var(--fg);stroke-width:1;stroke-dasharray:3 3;fill:none}\n",
    ".legend{list-style:none;margin:.2rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.85rem}"
    ".legend li{display:flex;align-items:center;gap:.35rem}.swatch{width:34px;height:10px;flex:none;display:inline-block}\n",
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.18rem .7rem .18rem 0;border-bottom:1px solid var(--edge);vertical-align:top}"
    "th{color:var(--mute);font-weight:600}.n{text-align:right;white-space:nowrap}\n",
    ".bars{width:100%;max-width:40rem}.bars td:first-child{min-width:7.5rem}.track{width:42%;vertical-align:middle}"
    ".bar{display:block;height:.75rem;background:var(--s0);min-width:1px}\n",
    ".sample{break-inside:avoid;margin:.8rem 0}"
    ".trio{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:.5rem}"
    ".trios{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:0 1.4rem}"
    ".trios .trio{max-width:34rem}"
    "@media screen and (max-width:40rem){.wides .trio{grid-template-columns:minmax(0,1fr)}}\n",
    ".ones{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.8rem}"
    ".one{break-inside:avoid;font-size:.85rem}.one figcaption,.trio figcaption{font-weight:400;font-size:.8rem;"
    "color:var(--mute)}\n",
    "img{display:block;width:100%;height:auto;border:1px solid var(--edge)}.small img{image-rendering:pixelated}\n",
    "details{margin:.5rem 0}summary{cursor:pointer;color:var(--s0)}\n",
    "pre{background:var(--panel);border:1px solid var(--edge);border-radius:.4rem;padding:.7rem;overflow-x:auto;"
    "font-size:.82rem;line-height:1.35;white-space:pre-wrap}\n",
    "@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--mute:#333;--edge:#bbb;--panel:#fff;"
    "--s0:#000;--s1:#333;--s2:#000;--s3:#444;--s4:#000;--s5:#333;--s6:#000;--s7:#444;"
    "--a0:#3c4654;--a1:#7a8797;--a2:#aeb9c5;--a3:#d3dae1;--a4:#e9edf0}"
    "body{max-width:none;padding:0;font-size:10pt}nav{display:none}h2{break-after:avoid}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}tr{break-inside:avoid}a{color:inherit}}\n",
    NULL,
};
