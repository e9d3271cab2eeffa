<?php header('X-Only: a header');
