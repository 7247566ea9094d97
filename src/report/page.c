#include "report/page.h"
#include "base/status.h"

void fari_page_begin(fari_html *html, const char *title)
{
    fari_html_put(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                        "<meta name=\"generator\" content=\"farandole " FARI_VERSION "\">\n<title>");
    fari_html_text(html, title);
    fari_html_put(html, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    for (const char *const *rules = fari_report_style; *rules != NULL; rules++) fari_html_put(html, *rules);
    fari_html_put(html, "</style>\n</head>\n<body>\n");
}

void fari_page_end(fari_html *html)
{
    fari_html_put(html, "<footer><p>Written by farandole " FARI_VERSION
                        ". This file stands alone: no network, no script.</p></footer>\n</body>\n</html>\n");
}

void fari_page_section(fari_html *html, const char *id, const char *title)
{
    fari_html_add(html, "<h2 id=\"%s\">", id);
    fari_html_text(html, title);
    fari_html_put(html, "</h2>\n");
}

void fari_page_key(fari_html *html, const char *name, const char *value)
{
    fari_html_put(html, "<div><dt>");
    fari_html_text(html, name);
    fari_html_put(html, "</dt><dd>");
    fari_html_text(html, value);
    fari_html_put(html, "</dd></div>\n");
}

void fari_page_remarks(fari_html *html, const fari_record *record)
{
    for (int32_t i = 0; i < record->remark_count; i++) {
        fari_html_put(html, "<p class=\"warn\">");
        fari_html_text(html, record->remarks[i]);
        fari_html_put(html, "</p>\n");
    }
}
