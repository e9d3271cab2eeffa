<?php
throw new RuntimeException("broken\nin two lines");
