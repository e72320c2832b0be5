"""Page skeletons of the sample's sites: five habits of real sites, each with its own boilerplate.

A string.Template each, over name, version, summary, host, title, url, path, charset, nav, body and banner.
"""

from string import Template

SPHINX = Template("""<!DOCTYPE html>
<html lang="en">
<head>
$charset<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title &#8212; $name $version documentation</title>
<link rel="stylesheet" type="text/css" href="/_static/theme.css">
<script src="/_static/doctools.js"></script>
</head>
<body>
<div class="related" role="navigation" aria-label="Related">
<h3>Navigation</h3>
<ul><li class="right"><a href="/genindex.html" title="General Index">index</a></li>
<li class="right"><a href="/py-modindex.html">modules</a> |</li>
<li class="nav-item"><a href="/index.html">$name $version documentation</a> »</li></ul>
</div>
<div class="document"><div class="documentwrapper"><div class="bodywrapper">
<div class="body" role="main">
$banner<h1>$title</h1>
$body
</div></div></div>
<div class="sphinxsidebar" role="navigation" aria-label="Main"><div class="sphinxsidebarwrapper">
<h3><a href="/index.html">Table of Contents</a></h3>
<ul>$nav</ul>
<h3>This Page</h3><ul class="this-page-menu">
<li><a href="/_sources$path.txt" rel="nofollow">Show Source</a></li></ul>
<search id="searchbox"><h3>Quick search</h3><form action="/search.html"><input name="q">
<input type="submit" value="Go"></form></search>
</div></div><div class="clearer"></div></div>
<div class="footer">© Copyright, the $name developers. Created using a documentation generator.</div>
</body>
</html>
""")

BOOK = Template("""<!DOCTYPE html>
<html class="writer-html5" lang="en">
<head>
$charset<title>$title — $name $version</title>
<link rel="canonical" href="$url">
<style>body{font-family:Lato,sans-serif;margin:0}.wy-nav-side{width:300px;position:fixed}</style>
</head>
<body class="wy-body-for-nav">
<nav class="wy-nav-side"><div class="wy-side-scroll">
<a href="/" class="icon icon-home">$name</a><div class="version">$version</div>
<div role="search"><form class="wy-form"><input type="text" name="q" placeholder="Search docs"></form></div>
<div class="wy-menu wy-menu-vertical"><p class="caption">Contents</p><ul>$nav</ul></div>
</div></nav>
<section class="wy-nav-content-wrap"><div class="wy-nav-content"><div class="rst-content">
<div role="navigation" aria-label="Page navigation"><ul class="wy-breadcrumbs"><li><a href="/">Home</a></li>
<li class="breadcrumb-item active">$title</li>
<li class="wy-breadcrumbs-aside"><a href="/edit">Edit on the forge</a></li>
</ul><hr></div>
<div role="main" class="document">
<div itemprop="articleBody">
$banner<section>
<h1>$title<a class="headerlink" href="#top" title="Link to this heading">¶</a></h1>
$body
</section>
</div>
</div>
<footer><div class="rst-footer-buttons" role="navigation" aria-label="Footer">
<a href="/prev.html" class="btn" rel="prev">Previous</a>
<a href="/next.html" class="btn" rel="next">Next</a></div>
<hr><div role="contentinfo"><p>© Copyright $name contributors. Revision 5f2c91e.</p></div>
Built with a theme provided by the hosting service.</footer>
</div></div></section>
<div class="rst-versions"><span>Versions</span><dl><dt>stable</dt><dt>latest</dt></dl></div>
</body>
</html>
""")

JOURNAL = Template("""<!doctype html>
<html lang="en-US">
<head>
$charset<title>$title | $name</title>
<meta name="description" content="$summary">
<meta property="og:title" content="$title"><meta property="og:url" content="$url">
<link rel="stylesheet" href="/assets/main.css">
</head>
<body class="post">
<div id="cookie-banner" class="cookie-notice">We use cookies to improve your experience. By continuing to
browse this site you agree to our <a href="/privacy">privacy policy</a>. <button>Accept</button>
<button>Reject</button></div>
<header class="site-header"><a class="logo" href="/">$name</a>
<nav class="main-menu"><ul><li><a href="/docs">Docs</a></li><li><a href="/blog">Blog</a></li>
<li><a href="/community">Community</a></li><li><a href="/pricing">Sponsors</a></li></ul></nav></header>
<main><article class="post-content">
<h1 class="entry-title">$title</h1>
<p class="post-meta">Posted in <a href="/docs">Documentation</a> | Version $version</p>
$banner$body
<div class="share-buttons">Share this page: <a href="/share/m">Mail</a> <a href="/share/t">Toots</a>
<a href="/share/l">Links</a></div>
</article></main>
<aside class="sidebar"><h4>Related pages</h4><ul>$nav</ul>
<form class="newsletter"><label>Subscribe to our newsletter</label>
<input type="email"><button>Subscribe</button></form>
</aside>
<footer class="site-footer"><p>© 2024 $name. All rights reserved. <a href="/terms">Terms</a> ·
<a href="/privacy">Privacy</a> · <a href="/contact">Contact us</a></p></footer>
<script>window.dataLayer=window.dataLayer||[];function track(){dataLayer.push(arguments);}
track('page','$host');</script>
</body>
</html>
""")

TABLES = Template("""<HTML>
<HEAD>
$charset<TITLE>$name: $title</TITLE>
</HEAD>
<BODY BGCOLOR="#FFFFFF" LINK="#0000CC">
<TABLE WIDTH="100%" CELLPADDING=4>
<TR><TD COLSPAN=2 BGCOLOR="#CCCCFF"><FONT SIZE="+2"><B>$name $version</B></FONT>
&nbsp; <I>$summary</I></TD></TR>
<TR><TD WIDTH="180" VALIGN="top" BGCOLOR="#EEEEEE"><FONT SIZE="-1"><B>Menu</B><UL>$nav</UL>
<A HREF="/">Home</A> | <A HREF="/search">Search</A></FONT></TD>
<TD VALIGN="top">
$banner<H2>$title</H2>
$body
</TD></TR>
<TR><TD COLSPAN=2 ALIGN="center"><HR><FONT SIZE="-1">Copyright © $name. Best viewed with any browser.
<A HREF="mailto:webmaster@$host">webmaster</A></FONT></TD></TR>
</TABLE>
</BODY>
</HTML>
""")

WIDGETS = Template("""<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
$charset<title>$title - $name docs</title>
<script type="application/json" id="__STATE__">
{"route":"$path","version":"$version","flags":{"beta":false}}</script>
</head>
<body>
<div id="root">
<div class="css-1x2k9 topbar"><div class="css-88ah"><a href="/">$name</a></div>
<div class="css-88ah menu"><a href="/guide">Guide</a><a href="/api">API</a><a href="/changelog">Changelog</a>
<a href="/login">Sign in</a></div></div>
<div class="css-7fj2 layout">
<div class="css-0a1b sidenav"><ul>$nav</ul></div>
<div class="css-9d3k content">
$banner<h1 class="css-t1">$title</h1>
$body
<div class="css-f11 feedback"><span>Was this page helpful?</span><button>Yes</button><button>No</button></div>
</div>
<div class="css-2mm toc"><div>On this page</div><a href="#top">$title</a></div>
</div>
<div class="css-00z footer"><div>Docs</div><div>Status</div><div>© $name Inc.</div></div>
<div class="css-ck modal" role="dialog"><p>This site uses cookies for analytics. Learn more
in our cookie policy.</p>
<button>Got it</button></div>
</div>
</body>
</html>
""")

PRINTED = Template("""<html><head>
$charset<title>$title</title>
</head><body onload="window.print()">
<h1>$title</h1>
$body
<p>Printed from $url</p>
</body></html>
""")

THEMES = {"sphinx": SPHINX, "book": BOOK, "journal": JOURNAL, "tables": TABLES, "widgets": WIDGETS}
